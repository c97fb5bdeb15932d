package sessions_test

import (
	"context"
	"net"
	"testing"
	"time"

	"berth/sessions"
)

// deaf makes sandboxes whose connections stay open when they end.
type deaf struct{ sessions.Launcher }

type deafSandbox struct{ sessions.Sandbox }

func (d deaf) Launch(ctx context.Context, id sessions.ID, spec sessions.Spec) (sessions.Sandbox, error) {
	s, err := d.Launcher.Launch(ctx, id, spec)
	return deafSandbox{s}, err
}

func (deafSandbox) Dial(context.Context) (net.Conn, error) {
	here, _ := net.Pipe()
	return here, nil
}

func TestConnectionsAreClosedWithTheSandbox(t *testing.T) {
	for name, stop := range map[string]func(w *world, id sessions.ID){
		"end":     func(w *world, id sessions.ID) { w.end(id) },
		"restart": func(w *world, _ sessions.ID) { w.stop(false) },
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				w.cfg.Launcher = deaf{w.launcher}
				w.start()
				c := w.create(sessions.Request{})
				w.pass(time.Second)
				conn, err := w.m.Dial(t.Context(), operator, c.ID)
				if err != nil {
					t.Fatal(err)
				}
				ended := make(chan error, 1)
				go func() {
					_, err := conn.Read(make([]byte, 1))
					ended <- err
				}()
				stop(w, c.ID)
				w.pass(time.Second)
				select {
				case err := <-ended:
					if err == nil {
						t.Error("read something")
					}
				default:
					t.Error("the connection is still open")
					_ = conn.Close()
				}
			})
		})
	}
}
