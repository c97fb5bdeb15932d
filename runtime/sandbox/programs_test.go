package sandbox_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"berth/runtime/sandbox"
	"berth/runtime/sandbox/sandboxtest"
)

// TestDockerCommand: sessions of every image have docker, its plugins and, with bash, its completion. They are the host's own
// files, and nobody in a session can change them.
func TestDockerCommand(t *testing.T) {
	h := sandboxtest.New(t)
	h.Config.DockerDir = filepath.Dir(sandboxtest.Program(t, "docker"))
	const versions = "docker --version; docker compose version; docker buildx version; docker-compose version"
	for image, more := range map[string]string{
		"busybox": "env | grep ^DOCKER_; (echo x >/usr/local/bin/docker) 2>/dev/null && echo changed; true",
		"debian":  `bash -c '. /usr/share/bash-completion/bash_completion; _completion_loader docker; complete -p docker'`,
	} {
		t.Run(image, func(t *testing.T) {
			spec := sandboxtest.Spec()
			spec.Image = image
			box := launch(t, h.Launcher(t), spec)
			defer closeBox(t, box)
			a := run(t, box, versions+"; docker version --format 'asks {{.Server.Version}}'; ls -l /var/run/docker.sock; "+more)
			for _, want := range []string{"Docker version 28.", "Docker Compose version v5.", "github.com/docker/buildx v0.", "asks 28."} {
				if !strings.Contains(a.Stdout, want) {
					t.Errorf("got %+v, want %q", a, want)
				}
			}
			if strings.Contains(a.Stdout, "DOCKER_") || strings.Contains(a.Stdout, "changed") {
				t.Errorf("got %q: docker needs a setting, or can be changed", a.Stdout)
			}
			if image == "debian" && !strings.Contains(a.Stdout, "complete -o default -F __start_docker docker") {
				t.Errorf("no completion: %+v", a)
			}
		})
	}
}

// TestProgramsAreShared: the docker command, which is large, is not copied; and a server without one works.
func TestProgramsAreShared(t *testing.T) {
	h := sandboxtest.New(t)
	dir := t.TempDir()
	path := filepath.Join(dir, "docker")
	if err := os.WriteFile(path, []byte("#!/bin/sh\necho mine\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	h.Config.DockerDir = dir
	box := launch(t, h.Launcher(t), sandboxtest.Spec())
	defer closeBox(t, box)
	if a := run(t, box, "docker; ls /usr/local/libexec/docker"); a.Stdout != "mine\n" {
		t.Errorf("got %+v", a)
	}
	found, err := filepath.Glob(filepath.Join(h.Config.DataDir, "programs", "*", "docker"))
	if err != nil || len(found) != 1 {
		t.Fatalf("programs: %v, %v", found, err)
	}
	ours, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := os.Stat(found[0])
	if err != nil {
		t.Fatal(err)
	}
	if !os.SameFile(ours, theirs) {
		t.Error("a copy")
	}
	if got := sandbox.DockerPrograms("/x"); len(got) != 8 || got[0] != "/x/docker" {
		t.Errorf("DockerPrograms = %v", got)
	}
}
