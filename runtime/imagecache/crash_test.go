package imagecache_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// eventually waits for a condition of another process.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(20 * time.Second)
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatal("never:", what)
		}
	}
}

// An importer that is killed in the middle leaves no process, and nothing that the next one does not remove.
func TestKilledImporter(t *testing.T) {
	c, dir := open(t)
	imported(t, c, "before", "before")
	fifo := filepath.Join(t.TempDir(), "fifo")
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "/proc/self/exe", importCommand, dir, fifo, "killed")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	feed, err := os.OpenFile(fifo, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer feed.Close()
	body := tarOf(t, "first", "second", "third")
	if _, err := feed.Write(body[:1024]); err != nil { // "first", and then nothing
		t.Fatal(err)
	}
	eventually(t, "the first file is unpacked", func() bool {
		m, _ := filepath.Glob(filepath.Join(dir, "staging", "*", "*", "first"))
		return len(m) == 1
	})
	// A living writer's staging directory is not taken for a dead one's.
	if _, err := c.Prune(); err != nil {
		t.Fatal(err)
	}
	if m, _ := filepath.Glob(filepath.Join(dir, "staging", "*", "*", "first")); len(m) != 1 {
		t.Fatal("prune removed what a living writer is making")
	}
	children := childrenOf(t, cmd.Process.Pid)
	if len(children) != 1 {
		t.Fatalf("the importer has children %v", children)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // killed
	eventually(t, "the unpacking child ends by itself", func() bool {
		return unix.Kill(children[0], 0) != nil
	})
	img := imported(t, c, "killed", "first", "second", "third")
	wantFiles(t, c, img, "first", "second", "third")
	before, err := c.Resolve("before")
	if err != nil {
		t.Fatal(err)
	}
	wantFiles(t, c, before, "before")
	wantClean(t, dir)
}

func childrenOf(t *testing.T, pid int) []int {
	t.Helper()
	var children []int
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range tasks {
		body, err := os.ReadFile(f)
		if err != nil {
			continue // a thread that ended
		}
		var child int
		if n, _ := fmt.Sscan(string(body), &child); n == 1 {
			children = append(children, child)
		}
	}
	return children
}

// What a writer leaves that is killed between two steps of the commit.
func TestRecovery(t *testing.T) {
	c, dir := open(t)
	kept := imported(t, c, "kept", "kept")
	orphan := filepath.Join(c.LayersDir(), "00ff") // renamed, and not yet in the index
	for _, d := range []string{orphan, filepath.Join(dir, "staging", "dead", "1"), filepath.Join(dir, "trash", "old", "x")} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for _, f := range []string{filepath.Join(dir, ".new-123"), filepath.Join(dir, "blobs", ".new-1"), filepath.Join(dir, "staging", "dead", "holds")} {
		if err := os.WriteFile(f, []byte("{cut"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	imported(t, c, "next", "next")
	wantFiles(t, c, kept, "kept")
	if _, err := os.Stat(orphan); !os.IsNotExist(err) {
		t.Errorf("a layer that the index does not know stays: %v", err)
	}
	for _, pattern := range []string{".new-*", "blobs/.new-*"} {
		if left, _ := filepath.Glob(filepath.Join(dir, pattern)); len(left) > 0 {
			t.Errorf("left: %v", left)
		}
	}
	wantClean(t, dir)
}

// Importers, removers and users at once, in several processes, end in a whole cache.
func TestConcurrentWriters(t *testing.T) {
	c, dir := open(t)
	const rounds = 4
	file := tarFile(t, "shared")
	var all sync.WaitGroup
	for p := range 3 {
		all.Go(func() {
			for range rounds {
				out, err := exec.CommandContext(t.Context(), "/proc/self/exe", importCommand, dir, file, fmt.Sprintf("name%d", p)).CombinedOutput()
				if err != nil {
					t.Errorf("import: %v: %s", err, out)
				}
			}
		})
	}
	all.Go(func() {
		for i := range 20 * rounds {
			if _, err := c.Prune(); err != nil {
				t.Errorf("prune: %v", err)
			}
			id := fmt.Sprintf("s%d", i)
			if img, err := c.Use(id, "name0"); err == nil {
				if _, err := c.Remove("name0"); err != nil {
					t.Errorf("remove: %v", err)
				}
				wantFiles(t, c, img, "shared")
			}
			if err := c.Release(id); err != nil {
				t.Error(err)
			}
			if _, err := c.List(); err != nil {
				t.Errorf("list: %v", err)
			}
		}
	})
	all.Wait()
	for p := 1; p < 3; p++ {
		img, err := c.Resolve(fmt.Sprintf("name%d", p))
		if err != nil {
			t.Fatal(err)
		}
		wantFiles(t, c, img, "shared")
	}
	if _, err := c.Prune(); err != nil {
		t.Fatal(err)
	}
	wantClean(t, dir)
}
