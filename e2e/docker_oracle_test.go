package e2e_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"berth/runtime/imagecache"
	"berth/runtime/sandbox/sandboxtest"
)

// TestDockerdAnswersTheSame runs the same commands against a real dockerd, where Debian's docker.io is installed, and lists
// where it differs. It is to look at, not to pass: dockerd may be older than what we answer as. Ask for it by
// BERTH_TEST_DOCKERD=1.
func TestDockerdAnswersTheSame(t *testing.T) {
	daemon := findDockerd(t)
	env := append(os.Environ(), "DOCKER_HOST="+startDockerd(t, daemon))
	differ := 0
	for _, c := range dockerCases {
		cmd := exec.Command("bash", "-c", "exec 2>&1; "+c.script)
		cmd.Env, cmd.Dir = env, t.TempDir()
		out, _ := cmd.Output() // the exit status is the last command's, and no matter
		if !matches(string(out), c.want) {
			differ++
			t.Logf("%s: %s\ndockerd:\n%s\nwanted of Berth:\n%s", c.name, c.script, out, c.want)
		}
		clean := exec.Command("sh", "-c", "docker rm -fv $(docker ps -aq); docker volume prune -f; docker network prune -f")
		clean.Env = env
		_ = clean.Run() // mostly there is nothing to remove
	}
	t.Logf("%d of %d differ", differ, len(dockerCases))
}

// findDockerd is the path of dockerd; without one, or when it is not asked for, the test is skipped. The dockerd beside Berth's
// own programs is another: it only says how to do without.
func findDockerd(t *testing.T) string {
	t.Helper()
	own := filepath.Dir(sandboxtest.Program(t, "berth"))
	for _, dir := range filepath.SplitList(os.Getenv("PATH")) {
		daemon, err := exec.LookPath(filepath.Join(dir, "dockerd"))
		if err == nil && dir != own && os.Getenv("BERTH_TEST_DOCKERD") != "" {
			return daemon
		}
	}
	t.Skip("compares with dockerd where that is installed and BERTH_TEST_DOCKERD=1 is set")
	return ""
}

// startDockerd starts a daemon in the tests' own network namespace, with busybox, and returns its address.
func startDockerd(t *testing.T, daemon string) string {
	t.Helper()
	dir := t.TempDir()
	host := "unix://" + filepath.Join(dir, "d.sock")
	cmd := exec.Command(daemon, "--data-root", filepath.Join(dir, "data"), "--exec-root", filepath.Join(dir, "exec"),
		"--pidfile", filepath.Join(dir, "pid"), "-H", host)
	var log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &log, &log
	must(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Signal(unix.SIGTERM)
		_ = cmd.Wait()
		_ = unix.Unmount(filepath.Join(dir, "exec", "netns", "default"), 0) // it stays of a container in the host's network
	})
	eventually(t, patience, func() error { return exec.Command("docker", "-H", host, "version").Run() })
	cache, err := imagecache.Open(filepath.Join(sandboxtest.Images(t), "images"))
	must(t, err)
	image, err := cache.Resolve("busybox")
	must(t, err)
	tar := exec.Command("tar", "-C", filepath.Join(cache.LayersDir(), image.LayerDirs()[0]), "-c", ".")
	in := exec.Command("docker", "-H", host, "import", "-c", `CMD ["sh"]`, "-c", "ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "-", "busybox")
	in.Stdin, err = tar.StdoutPipe()
	must(t, err)
	must(t, tar.Start())
	out, err := in.CombinedOutput()
	if err != nil || tar.Wait() != nil {
		t.Fatalf("import busybox: %v: %s %s", err, out, strings.TrimSpace(log.String()))
	}
	return host
}
