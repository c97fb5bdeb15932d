package unpack_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"berth/runtime/imagecache/unpack"
)

// pausing is a stream that says when it has been read so far, and goes on when told.
type pausing struct {
	io.Reader
	reached, goOn chan struct{}
	done          bool
}

func (p *pausing) Read(b []byte) (int, error) {
	n, err := p.Reader.Read(b)
	if errors.Is(err, io.EOF) && !p.done {
		p.done = true
		close(p.reached)
		<-p.goOn
	}
	return n, err
}

func (p *pausing) Close() error { return nil }

// What the unpacking child has while it reads: nothing of the host.
func TestChildHasNoRights(t *testing.T) {
	needRoot(t)
	layer, _ := canary(t)
	whole := archive(t, file("first", "x"), file("second", "y"))
	in := &pausing{Reader: bytes.NewReader(whole), reached: make(chan struct{}), goOn: make(chan struct{})}
	ended := make(chan error, 1)
	go func() {
		_, err := unpack.Layer(t.Context(), layer, in, unpack.Options{})
		ended <- err
	}()
	<-in.reached
	deadline := time.After(20 * time.Second)
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for { // the child has got as far as writing
		if _, err := os.Stat(filepath.Join(layer, "second")); err == nil {
			break
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatal("the child never wrote")
		}
	}
	child := childOf(t, os.Getpid())
	for opens(t, child, "/second") { // it is being written
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatal("the child never closed what it wrote")
		}
	}
	checkChild(t, child)
	close(in.goOn)
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
}

// opens reports whether a process has a file of that name open, as it sees it.
func opens(t *testing.T, pid int, name string) bool {
	t.Helper()
	links, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range links {
		if target, err := os.Readlink(l); err == nil && target == name { // closed meanwhile: fine
			return true
		}
	}
	return false
}

func checkChild(t *testing.T, pid int) {
	t.Helper()
	body, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf("Uid:\t%d", unpack.DefaultIDBase)
	if !strings.Contains(string(body), want) {
		t.Errorf("the child runs as another user than %s:\n%s", want, body)
	}
	for _, ns := range []string{"user", "mnt", "pid", "net", "ipc", "uts"} {
		ours, err1 := os.Readlink("/proc/self/ns/" + ns)
		theirs, err2 := os.Readlink(fmt.Sprintf("/proc/%d/ns/%s", pid, ns))
		if err := errors.Join(err1, err2); err != nil || ours == theirs {
			t.Errorf("namespace %s is the host's: %s, %v", ns, theirs, err)
		}
	}
	mounts, err := os.ReadFile(fmt.Sprintf("/proc/%d/mountinfo", pid))
	if err != nil || strings.Count(string(mounts), "\n") != 1 || !strings.Contains(string(mounts), "idmapped") {
		t.Errorf("the child sees these mounts, %v:\n%s", err, mounts)
	}
	fds, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		t.Fatal(err)
	}
	for _, fd := range fds {
		to, err := os.Readlink(fmt.Sprintf("/proc/%d/fd/%s", pid, fd.Name()))
		// From a chroot the path of the null device is one in a mount that the child cannot reach any more.
		ok := err != nil || to == "/" || to == "/dev/null" || to == "/null" || strings.HasPrefix(to, "pipe:") || strings.HasPrefix(to, "socket:") ||
			strings.HasPrefix(to, "anon_inode:") || strings.HasSuffix(to, "/layer")
		if !ok {
			t.Errorf("the child has %s open as %s", to, fd.Name())
		}
	}
	// Some thread of it parses: on that one rights are gone. In a build without cgo, on all.
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	bare := 0
	for _, f := range threads {
		body, err := os.ReadFile(f)
		if err == nil && strings.Contains(string(body), "NoNewPrivs:\t1") && strings.Contains(string(body), "CapEff:\t000000008800001f") {
			bare++
		}
	}
	if bare == 0 || !cgo && bare != len(threads) {
		t.Errorf("%d of %d threads have dropped their rights:\n%s", bare, len(threads), body)
	}
}

func childOf(t *testing.T, pid int) int {
	t.Helper()
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range tasks {
		body, err := os.ReadFile(f)
		var child int
		if n, _ := fmt.Sscan(string(body), &child); err == nil && n == 1 {
			return child
		}
	}
	t.Fatal("no child")
	return 0
}

// The caller's end takes the children with it, also while the stream stands still.
func TestCancel(t *testing.T) {
	needRoot(t)
	for _, compressed := range []bool{false, true} {
		layer, _ := canary(t)
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancelCause(t.Context())
		ended := make(chan error, 1)
		go func() {
			_, err := unpack.Layer(ctx, layer, closing{r, ctx}, unpack.Options{})
			ended <- err
		}()
		head := archive(t, file("a", "a"))[:512]
		if compressed {
			head = []byte{0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0}
		}
		if _, err := w.Write(head); err != nil {
			t.Fatal(err)
		}
		why := errors.New("the operator pressed ctrl-C")
		cancel(why)
		if err := <-ended; !errors.Is(err, why) {
			t.Errorf("error is %v", err)
		}
		_ = w.Close()
		if _, err := unix.Wait4(-1, nil, unix.WNOHANG, nil); !errors.Is(err, unix.ECHILD) {
			t.Errorf("children are left: %v", err)
		}
	}
}

// closing is a stream whose reads end with its context, as those of imagecache's inputs do.
type closing struct {
	*os.File
	ctx context.Context
}

func (c closing) Read(b []byte) (int, error) {
	stop := context.AfterFunc(c.ctx, func() { _ = c.SetReadDeadline(time.Now()) })
	defer stop()
	return c.File.Read(b)
}

func TestClearErrorWithoutIdmappedMounts(t *testing.T) {
	needRoot(t)
	base := t.TempDir()
	for _, d := range []string{"l", "u", "w", "m"} {
		if err := os.Mkdir(filepath.Join(base, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	target := filepath.Join(base, "m")
	options := fmt.Sprintf("lowerdir=%s/l,upperdir=%s/u,workdir=%s/w", base, base, base)
	if err := unix.Mount("overlay", target, "overlay", 0, options); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(target, 0); err != nil {
			t.Error(err)
		}
	})
	_, err := unpack.Layer(t.Context(), target, stream(archive(t, file("a", "a"))), unpack.Options{})
	if err == nil || !strings.Contains(err.Error(), "overlayfs") || !strings.Contains(err.Error(), "ext4, xfs or btrfs") {
		t.Errorf("error is %v", err)
	}
}
