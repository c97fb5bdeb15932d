package execstream_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"runtime"
	"testing"
	"time"

	"berth/terminal/execstream"
	"berth/terminal/terminaltest"
)

const patience = 20 * time.Second

func serve(t testing.TB) (*terminaltest.Runner, *execstream.Handler, string) {
	t.Helper()
	goroutines := runtime.NumGoroutine()
	r := &terminaltest.Runner{}
	h := execstream.NewHandler(context.Background(), r.Start, nil)
	mux := http.NewServeMux()
	h.Routes(mux, "/v1")
	server := httptest.NewServer(mux)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := h.Close(ctx); err != nil {
			t.Errorf("close: %v", err)
		}
		server.Close()
		http.DefaultClient.CloseIdleConnections()
		eventually(t, func() error {
			if n := runtime.NumGoroutine(); n > goroutines {
				buf := make([]byte, 1<<20)
				return errors.New("goroutines left:\n" + string(buf[:runtime.Stack(buf, true)]))
			}
			return nil
		})
		if n := r.Running(); n != 0 {
			t.Errorf("%d processes left", n)
		}
	})
	return r, h, server.URL + "/v1/exec"
}

func eventually(t testing.TB, check func() error) {
	t.Helper()
	deadline := time.After(patience)
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for {
		err := check()
		if err == nil {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatal(err)
		}
	}
}
