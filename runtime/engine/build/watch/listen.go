package watch

import (
	"context"
	"time"

	controlapi "github.com/moby/buildkit/api/services/control"
	"github.com/moby/buildkit/client"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
)

// listen takes BuildKit's messages about a build, until the function that it returns is called and the last has come.
func (r *run) listen(ctx context.Context, ref string) (settled func()) {
	ctx, stop := context.WithCancel(context.WithoutCancel(ctx))
	done := make(chan struct{})
	go func() {
		defer close(done)
		r.watcher.mu.Lock()
		control := r.watcher.control
		r.watcher.mu.Unlock()
		if err := control.Status(&controlapi.StatusRequest{Ref: ref}, &statusStream{ctx: ctx, run: r}); err != nil {
			r.watcher.o.Log.Debug("the messages of a build ended", "build", ref, "error", err)
		}
	}()
	return func() {
		late := time.AfterFunc(settleTime, stop)
		defer late.Stop()
		<-done
		stop()
	}
}

// statusStream is the answer to a call of Status from within the process.
type statusStream struct {
	grpc.ServerStream // nil: what is not below is not called
	ctx               context.Context
	run               *run
}

func (s *statusStream) Context() context.Context                { return s.ctx }
func (s *statusStream) SendHeader(metadata.MD) error            { return nil }
func (s *statusStream) SetHeader(metadata.MD) error             { return nil }
func (s *statusStream) SetTrailer(metadata.MD)                  {}
func (s *statusStream) Send(m *controlapi.StatusResponse) error { return s.SendMsg(m) }

// SendMsg takes one message.
func (s *statusStream) SendMsg(m any) error {
	if status, ok := m.(*controlapi.StatusResponse); ok {
		s.run.build.Status(client.NewSolveStatus(status))
	}
	return nil
}
