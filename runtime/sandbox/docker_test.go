package sandbox_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"berth/runtime/sandbox/sandboxtest"
	"berth/sessions"
)

// TestDockerSocket: root of the host reaches a sandbox's Docker API, and the workspace has one
// of its own.
func TestDockerSocket(t *testing.T) {
	h := sandboxtest.New(t)
	id := sessions.NewID()
	if _, err := h.Launcher(t).Launch(t.Context(), id, sandboxtest.Spec()); err != nil {
		t.Fatal(err)
	}
	box, err := h.Launcher(t).Find(t.Context(), id) // as the next server does
	if err != nil {
		t.Fatal(err)
	}
	defer closeBox(t, box)
	path := filepath.Join(h.Config.RunDir, string(id), "docker.sock")
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 || info.Mode().Type() != os.ModeSocket {
		t.Fatalf("%v, %v", info, err)
	}
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", path)
	}}
	defer transport.CloseIdleConnections()
	res, err := (&http.Client{Transport: transport}).Get("http://docker/_ping")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if b, err := io.ReadAll(res.Body); string(b) != "OK" || res.Header.Get("Api-Version") == "" {
		t.Errorf("ping: %s %q, %v", res.Status, b, err)
	}
	if a := run(t, box, "echo /proc/*/root/run/docker/*; grep -c docker.sock /proc/mounts"); a.Stdout != "/proc/*/root/run/docker/*\n1\n" {
		t.Errorf("the workspace sees %q", a.Stdout)
	}
}
