package layers_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"berth/runtime/chroot"
	"berth/runtime/engine/image/layers"
)

// inside marks the process that runs the tests: in namespaces as a sandbox has them.
const inside = "BERTH_TEST_INSIDE"

// TestMain runs the tests as root of a user namespace, with a mount namespace of its own: overlay is mounted, and whiteouts
// are made, as in a sandbox.
func TestMain(m *testing.M) {
	if os.Geteuid() != 0 || os.Getenv(inside) != "" {
		os.Exit(m.Run())
	}
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), inside+"=1")
	ids := []syscall.SysProcIDMap{{ContainerID: 0, HostID: 0, Size: 1 << 16}}
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: unix.CLONE_NEWUSER | unix.CLONE_NEWNS, UidMappings: ids, GidMappings: ids, GidMappingsEnableSetgroups: true,
		Pdeathsig: unix.SIGKILL,
	}
	err := chroot.Thread(cmd.Run)
	var failed *exec.ExitError
	switch {
	case errors.As(err, &failed):
		os.Exit(failed.ExitCode())
	case err != nil:
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// layer is a directory as unpacking leaves one.
type layer struct {
	t   testing.TB
	dir string
}

func newLayer(t testing.TB) layer {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: whiteouts are devices")
	}
	return layer{t, t.TempDir()}
}

func (l layer) path(name string) string {
	l.t.Helper()
	p := filepath.Join(l.dir, name)
	must(l.t, os.MkdirAll(filepath.Dir(p), 0o755))
	return p
}

func (l layer) file(name, text string) layer {
	l.t.Helper()
	must(l.t, os.WriteFile(l.path(name), []byte(text), 0o644))
	return l
}

func (l layer) link(name, target string) layer {
	l.t.Helper()
	must(l.t, os.Symlink(target, l.path(name)))
	return l
}

func (l layer) gone(name string) layer {
	l.t.Helper()
	must(l.t, unix.Mknod(l.path(name), unix.S_IFCHR, 0))
	return l
}

func (l layer) opaque(name string) layer {
	l.t.Helper()
	must(l.t, os.MkdirAll(l.path(name), 0o755))
	must(l.t, unix.Setxattr(l.path(name), "user.overlay.opaque", []byte("y"), 0))
	return l
}

func (l layer) scan() *layers.Index {
	l.t.Helper()
	x, err := layers.Scan(l.t.Context(), l.dir)
	must(l.t, err)
	return x
}

func stack(list ...layer) *layers.Stack {
	all := make([]*layers.Index, len(list))
	for i, l := range list {
		all[i] = l.scan()
	}
	return layers.NewStack(all)
}

func list(t testing.TB, s *layers.Stack, q layers.Query) []layers.Entry {
	t.Helper()
	if q.Limit == 0 {
		q.Limit = 1 << 20
	}
	p, err := s.List(q)
	must(t, err)
	return p.Entries
}

// lines are entries as "change path".
func lines(entries []layers.Entry) []string {
	all := []string{}
	for _, e := range entries {
		mark := map[string]string{"": " ", "added": "+", "changed": "~", "removed": "-"}[e.Change]
		all = append(all, mark+e.Path)
	}
	return all
}
