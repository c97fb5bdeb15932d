package e2e_test

import (
	"bytes"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// webServer serves what the Dockerfiles of the table ADD, at port 8099 of the builder's own network.
const webServer = `docker run -d --name www --network host -v $PWD/www:/www busybox httpd -f -p 8099 -h /www >/dev/null
	for i in $(seq 100); do (echo >/dev/tcp/127.0.0.1/8099) 2>/dev/null && exit; sleep 0.1; done; docker logs www; exit 1`

// TestDockerfiles builds the table of e2e/dockerfiles with the real docker CLI in one session.
func TestDockerfiles(t *testing.T) {
	all := dockerfiles(t)
	s := newServer(t, dockerEnvironments)
	s.start()
	box := s.open("debian")
	id := string(box.id)
	run := func(t *testing.T, script string) string {
		t.Helper()
		got := s.berth(nil, "exec", "-w", "/root/df", id, "--", "timeout", "120", "bash", "-c", script)
		if got.code != 0 {
			t.Fatalf("exit %d: %s %s", got.code, got.out, got.errs)
		}
		return got.out
	}
	s.berth(nil, "exec", id, "--", "mkdir", "/root/df")
	s.upload(box, "/root/df", contexts(t, all))
	run(t, webServer)
	for _, d := range all {
		t.Run(d.name, func(t *testing.T) {
			t.Parallel()
			a, err := readAnswer(run(t, d.script()))
			must(t, err)
			d.judge(t, a, "berth")
		})
	}
}

// judge fails the test where an answer is not what is wanted. Where the file says why this builder differs, that is only told,
// and an answer without a difference fails.
func (d *dockerfile) judge(t *testing.T, a answer, builder string) {
	t.Helper()
	differ, why := strings.Join(d.differences(a), "\n"), d.head[builder]
	switch {
	case why != "" && differ == "":
		t.Errorf("there is no difference any more: take the line %q away", builder+": "+why)
	case why != "":
		t.Logf("%s\n%s", why, differ)
	case differ != "":
		t.Errorf("%s\n%s\n%s%s", differ, a["errors"], a["log"], a["log2"])
	}
}

// upload unpacks a tar in a directory of the workspace.
func (s *server) upload(box *session, dir string, archive []byte) {
	s.t.Helper()
	address := s.url + "/api/v1/sessions/" + string(box.id) + "/files" + dir + "?archive=tar"
	req, err := http.NewRequestWithContext(s.t.Context(), http.MethodPut, address, bytes.NewReader(archive))
	must(s.t, err)
	req.Header.Set("Authorization", "Bearer "+box.token)
	answer, err := http.DefaultClient.Do(req)
	must(s.t, err)
	defer answer.Body.Close()
	if answer.StatusCode >= http.StatusBadRequest {
		said, _ := io.ReadAll(answer.Body) // to be shown only
		s.t.Fatalf("upload: %s: %s", answer.Status, said)
	}
}

// dockerdSyntax is which Dockerfiles the BuildKit of Debian's dockerd 20.10 reads.
const dockerdSyntax = 2

// TestDockerfilesOfDockerd builds the same table with dockerd: what is expected of Berth is what Docker does. Ask for it by
// BERTH_TEST_DOCKERD=1. With BUILDX_BUILDER, of a builder that buildx knows, and BUILD_FLAGS=--load, that one builds, and dockerd
// has the images only: a buildkitd of the version that Berth embeds knows every syntax.
func TestDockerfilesOfDockerd(t *testing.T) {
	daemon := findDockerd(t)
	all, dir, builder := dockerfiles(t), t.TempDir(), "dockerd"
	if os.Getenv("BUILDX_BUILDER") != "" {
		builder = "buildkitd"
	}
	env := append(os.Environ(), "DOCKER_HOST="+startDockerd(t, daemon), "DOCKER_BUILDKIT=1", "DOCKER_CONFIG="+dockerConfig(t))
	run := func(t *testing.T, script string, stdin []byte) string {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), "bash", "-c", script)
		cmd.Env, cmd.Dir, cmd.Stdin = env, dir, bytes.NewReader(stdin)
		var errs bytes.Buffer
		cmd.Stderr = &errs
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("%v: %s %s", err, out, &errs)
		}
		return string(out)
	}
	run(t, "tar x", contexts(t, all))
	run(t, webServer, nil)
	for _, d := range all {
		t.Run(d.name, func(t *testing.T) {
			if n, _ := strconv.Atoi(strings.TrimPrefix(d.head["syntax"], "1.")); n > dockerdSyntax && builder == "dockerd" {
				t.Skipf("needs syntax %s", d.head["syntax"])
			}
			a, err := readAnswer(run(t, d.script(), nil))
			must(t, err)
			d.judge(t, a, builder)
		})
	}
}

// dockerConfig is a directory of docker's CLI that has the plugins beside the tests' docker.
func dockerConfig(t *testing.T) string {
	t.Helper()
	docker, err := exec.LookPath("docker")
	must(t, err)
	dir := t.TempDir()
	must(t, os.Mkdir(filepath.Join(dir, "cli-plugins"), 0o755))
	must(t, os.Symlink(filepath.Join(filepath.Dir(docker), "docker-buildx"), filepath.Join(dir, "cli-plugins", "docker-buildx")))
	return dir
}
