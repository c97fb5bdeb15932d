package main_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// dockerScript stands for docker in PATH.
const dockerScript = `#!/bin/sh
socket=${DOCKER_HOST#unix://}
[ -S "$socket" ] && [ "$(stat -c %a "$(dirname "$socket")")" = 700 ] && echo "a socket of its own: $socket"
echo "arguments $*, context ${DOCKER_CONTEXT-none}, tls ${DOCKER_TLS_VERIFY-none}, configuration $DOCKER_CONFIG"
[ "$1" = wait ] && { trap 'echo told; exit 3' TERM; echo waiting >&2; while :; do sleep 0.05; done; }
cat
exit 7
`

func TestDocker(t *testing.T) {
	s := newServer(t)
	id := string(s.addReady())
	if _, err := build(); err != nil { // before HOME changes: the compiler's cache is there
		t.Fatal(err)
	}
	dir, home := t.TempDir(), t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "docker"), []byte(dockerScript), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"docker-compose", "docker-buildx"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	t.Setenv("HOME", home)
	t.Setenv("XDG_CONFIG_HOME", "")
	t.Setenv("DOCKER_CONTEXT", "other")
	t.Setenv("DOCKER_TLS_VERIFY", "1")
	r := s.run("typed", "docker", id, "--", "ps", "-a", "--", "x")
	config := filepath.Join(home, ".config/berth/docker")
	want := "arguments ps -a -- x, context none, tls none, configuration " + config + "\ntyped"
	if r.code != 7 || !strings.HasSuffix(r.out, want) || !strings.HasPrefix(r.out, "a socket of its own: ") {
		t.Errorf("got %+v, want %q", r, want)
	}
	socket, _, _ := strings.Cut(strings.TrimPrefix(r.out, "a socket of its own: "), "\n")
	if _, err := os.Stat(filepath.Dir(socket)); !os.IsNotExist(err) {
		t.Errorf("%s is left: %v", socket, err)
	}
	for _, name := range []string{"docker-compose", "docker-buildx"} {
		if to, err := os.Readlink(filepath.Join(config, "cli-plugins", name)); err != nil || to != filepath.Join(dir, name) {
			t.Errorf("the plugin %s: %q, %v", name, to, err)
		}
	}
	t.Setenv("DOCKER_CONFIG", home)
	if r := s.run("", "docker", id, "ps"); r.code != 7 || !strings.Contains(r.out, "configuration "+home+"\n") {
		t.Errorf("with a configuration chosen: %+v", r)
	}
	if r := s.run("", "docker", "aaaaaaaaaaaa", "ps"); r.code != 1 || r.out != "" {
		t.Errorf("without a session: %+v", r)
	}
	s.dockerEndsInOrder(t, id)
}

// dockerEndsInOrder: docker is told of a signal and has the last word.
func (s *server) dockerEndsInOrder(t *testing.T, id string) {
	t.Helper()
	cmd := s.command(adminToken, "docker", id, "--", "wait")
	told, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	cmd.Stdout = &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := told.Read(make([]byte, 100)); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Process.Signal(unix.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if _ = cmd.Wait(); cmd.ProcessState.ExitCode() != 3 || !strings.HasSuffix(out.String(), "told\n") {
		t.Errorf("%v, %q", cmd.ProcessState, out.String())
	}
}
