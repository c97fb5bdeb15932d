package files_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"berth/runtime/chroot"
	"berth/runtime/engine/files"
)

const containerCommand = "container" // of the test binary: DIR

// TestMain makes the test binary serve as the first process of a container.
func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == containerCommand {
		if err := contain(os.Args[2]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// smallDisk is the size of the container's /small, in bytes.
const smallDisk = 64 << 10

// contain makes dir the root of this process's mount namespace, with a small disk and the host's proc, and stays until
// standard input ends.
func contain(dir string) error {
	for _, step := range []func() error{
		func() error { return unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, "") },
		func() error { return unix.Mount(dir, dir, "", unix.MS_BIND, "") },
		func() error {
			return unix.Mount("small", filepath.Join(dir, "small"), "tmpfs", 0, fmt.Sprintf("size=%d,mode=755", smallDisk))
		},
		func() error { return unix.Mount("/proc", filepath.Join(dir, "proc"), "", unix.MS_BIND|unix.MS_REC, "") },
		func() error { return unix.Chdir(dir) },
		func() error { return unix.PivotRoot(".", ".") },
		func() error { return unix.Unmount(".", unix.MNT_DETACH) },
		func() error { return unix.Chdir("/") },
	} {
		if err := step(); err != nil {
			return fmt.Errorf("contain %s: %w", dir, err)
		}
	}
	fmt.Println("ready")
	_, err := io.Copy(io.Discard, os.Stdin)
	return err
}

// container is a running container and the directory that is its root.
type container struct {
	*files.Tree
	dir     string // on the host; what is mounted inside is not seen there
	outside string // a directory beside it that nothing may touch
}

// secret is what the canary outside holds.
const secret = "not for the container"

// newContainer starts one with an empty tree beside a canary, which must be as it was when the test ends.
func newContainer(t testing.TB) container {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: a mount namespace is made, with files of every owner")
	}
	base := t.TempDir()
	c := container{dir: filepath.Join(base, "tree"), outside: filepath.Join(base, "outside")}
	for _, dir := range []string{c.dir, c.outside, filepath.Join(c.dir, "small"), filepath.Join(c.dir, "proc")} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(c.outside, "canary"), []byte(secret), 0o640); err != nil {
		t.Fatal(err)
	}
	before := snapshot(t, c.outside)
	t.Cleanup(func() {
		if after := snapshot(t, c.outside); after != before {
			t.Errorf("outside was\n%sand is\n%s", before, after)
		}
	})
	c.Tree = files.Of(startContainer(t, c.dir))
	return c
}

func startContainer(t testing.TB, dir string) int {
	t.Helper()
	cmd := exec.Command("/proc/self/exe", containerCommand, dir)
	cmd.SysProcAttr = &unix.SysProcAttr{Cloneflags: unix.CLONE_NEWNS}
	cmd.Env = append(os.Environ(), "GORACE=atexit_sleep_ms=0") // the race detector's own wait, a second by default
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := chroot.Thread(cmd.Start); err != nil { // pivot_root(2) wants a true root
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(stdin.Close(), cmd.Wait()); err != nil {
			t.Errorf("the container: %v", err)
		}
	})
	if line, err := bufio.NewReader(stdout).ReadString('\n'); line != "ready\n" {
		t.Fatalf("the container says %q, %v", line, err)
	}
	return cmd.Process.Pid
}

// snapshot describes a tree: names, kinds, owners, modes, and what files hold.
func snapshot(t testing.TB, dir string) string {
	t.Helper()
	var b strings.Builder
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		st := info.Sys().(*syscall.Stat_t)
		name, _ := filepath.Rel(dir, p)
		fmt.Fprintf(&b, "%s %s %d:%d", name, info.Mode(), st.Uid, st.Gid)
		switch info.Mode().Type() {
		case fs.ModeSymlink:
			target, err := os.Readlink(p)
			fmt.Fprintf(&b, " -> %s %v", target, err)
		case 0:
			content, err := os.ReadFile(p)
			fmt.Fprintf(&b, " %d links %q %v", st.Nlink, content, err)
		default: // nothing more to say
		}
		b.WriteByte('\n')
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// put makes a file in the container's tree, from the host.
func (c container) put(t testing.TB, name, content string, mode fs.FileMode) {
	t.Helper()
	p := filepath.Join(c.dir, name)
	if err := errors.Join(os.MkdirAll(filepath.Dir(p), 0o755), os.WriteFile(p, []byte(content), mode), os.Chmod(p, mode)); err != nil {
		t.Fatal(err)
	}
}

func (c container) symlink(t *testing.T, target, name string) {
	t.Helper()
	if err := os.Symlink(target, filepath.Join(c.dir, name)); err != nil {
		t.Fatal(err)
	}
}

func (c container) fifo(t *testing.T, name string) {
	t.Helper()
	if err := unix.Mkfifo(filepath.Join(c.dir, name), 0o600); err != nil {
		t.Fatal(err)
	}
}

// wantHost checks what a file of the tree holds, from the host.
func (c container) wantHost(t *testing.T, name, content string) {
	t.Helper()
	if b, err := os.ReadFile(filepath.Join(c.dir, name)); err != nil || string(b) != content {
		t.Errorf("%s holds %q, %v; want %q", name, b, err, content)
	}
}

// read opens a file in the container and reads it.
func (c container) read(name string) (string, error) {
	f, _, err := c.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	b, err := io.ReadAll(f)
	return string(b), err
}

// wantIs checks an error against the one that callers decide on.
func wantIs(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("error %v, want %v", err, want)
	}
}
