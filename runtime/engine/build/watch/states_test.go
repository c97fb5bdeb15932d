package watch_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/moby/buildkit/solver"
	"golang.org/x/sys/unix"

	"berth/runtime/engine/build/record"
	"berth/runtime/engine/build/watch"
)

// files are a result that notes its release.
type files struct {
	name     string
	released *[]string
}

func (f files) ID() string { return f.name }

func (f files) Release(context.Context) error {
	*f.released = append(*f.released, f.name)
	return nil
}

func (f files) Sys() any { return nil }

func (f files) Clone() solver.Result { return f }

// What failed steps have left is given up after a while, with the build, when there are too many, and with the sandbox.
func TestFailedStepsAreHeldForAWhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		var released []string
		for i := range 6 {
			id := fmt.Sprintf("b%d", i)
			b, err := w.records.Begin(record.About{ID: id})
			if err != nil {
				t.Fatal(err)
			}
			b.End(record.Outcome{State: record.Failed, Error: &record.Error{}})
			w.States().Hold(id, "step", files{id, &released}, nil)
		}
		want := func(when string, names ...string) {
			t.Helper()
			synctest.Wait()
			if slices.Sort(released); !slices.Equal(released, names) {
				t.Errorf("%s: released are %q, want %q", when, released, names)
			}
		}
		want("the last four builds", "b0", "b1")
		if _, _, err := w.States().Terminal("b5", "step"); err != nil {
			t.Error(err)
		}
		if err := w.records.Forget("b3"); err != nil {
			t.Fatal(err)
		}
		want("one is forgotten", "b0", "b1", "b3")
		time.Sleep(14 * time.Minute) //nolint:forbidigo // of synctest
		want("not yet", "b0", "b1", "b3")
		w.States().Hold("b5", "another", files{"b5b", &released})
		time.Sleep(2 * time.Minute) //nolint:forbidigo // of synctest
		want("after a while", "b0", "b1", "b2", "b3", "b4", "b5", "b5b")
		if _, _, err := w.States().Terminal("b5", "step"); err == nil || !strings.Contains(err.Error(), "nothing is kept") {
			t.Errorf("a terminal in what is gone: %v", err)
		}
		w.States().Hold("b5", "late", files{"late", &released})
		w.Close()
		want("closed", "b0", "b1", "b2", "b3", "b4", "b5", "b5b", "late")
		w.States().Hold("b5", "too late", files{"too late", &released})
		want("after that", "b0", "b1", "b2", "b3", "b4", "b5", "b5b", "late", "too late")
	})
}

// A step that has filled the disk is not kept on it.
func TestFullDiskIsNotHeld(t *testing.T) {
	disk := t.TempDir()
	if err := unix.Mount("tmpfs", disk, "tmpfs", 0, "size=1m"); err != nil {
		t.Skipf("needs root: %v", err)
	}
	t.Cleanup(func() { _ = unix.Unmount(disk, unix.MNT_DETACH) })
	records, err := record.Open(filepath.Join(t.TempDir(), "records"), nil)
	if err != nil {
		t.Fatal(err)
	}
	w := watch.New(watch.Options{Records: records, Disk: disk})
	w.Attach(t.Context(), control{}, func(context.Context) error { return nil })
	var released []string
	w.States().Hold("small", "step", files{"small", &released})
	w.States().MakeRoom()
	if len(released) != 0 {
		t.Errorf("released are %q while there is room", released)
	}
	fill(t, filepath.Join(disk, "fill"), 950<<10)
	w.States().Hold("large", "step", files{"large", &released})
	if !slices.Equal(released, []string{"large"}) {
		t.Errorf("released are %q when the disk is full", released)
	}
	w.States().MakeRoom()
	if !slices.Equal(released, []string{"large", "small"}) {
		t.Errorf("released are %q when another build needs room", released)
	}
	w.Close()
}

func fill(t *testing.T, path string, bytes int) {
	t.Helper()
	if err := os.WriteFile(path, make([]byte, bytes), 0o600); err != nil {
		t.Fatal(err)
	}
}
