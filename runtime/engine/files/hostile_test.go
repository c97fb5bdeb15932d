package files_test

import (
	"archive/tar"
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"berth/runtime/engine/files"
)

// TestHostileArchives unpacks into a directory of the container. What lies beside that directory, and what lies beside
// the container, stay as they are.
func TestHostileArchives(t *testing.T) {
	for _, a := range []struct {
		name    string
		entries func(c container) []tar.Header
	}{
		{"up", func(container) []tar.Header { return []tar.Header{file("../canary")} }},
		{"up later", func(container) []tar.Header { return []tar.Header{file("a/../../canary")} }},
		{"up and in again", func(container) []tar.Header { return []tar.Header{file("../into/x")} }},
		{"absolute and up", func(container) []tar.Header { return []tar.Header{file("/../canary")} }},
		{"through a link up", func(container) []tar.Header { return []tar.Header{symlink("l", ".."), file("l/canary")} }},
		{"through an absolute link", func(container) []tar.Header { return []tar.Header{symlink("l", "/"), file("l/canary")} }},
		{"through a link to the host", func(c container) []tar.Header {
			return []tar.Header{symlink("l", c.outside), file("l/canary")}
		}},
		{"through two links", func(container) []tar.Header {
			return []tar.Header{symlink("a", "."), symlink("b", "a/.."), file("b/canary")}
		}},
		{"a directory through a link", func(container) []tar.Header {
			return []tar.Header{symlink("l", ".."), {Typeflag: tar.TypeDir, Name: "l/made", Mode: 0o777}}
		}},
		{"a directory on a link", func(container) []tar.Header {
			return []tar.Header{symlink("l", ".."), {Typeflag: tar.TypeDir, Name: "l", Mode: 0o777, Uid: 7}}
		}},
		{"a symbolic link through a link", func(container) []tar.Header {
			return []tar.Header{symlink("l", ".."), symlink("l/canary", "/x")}
		}},
		{"a hard link up", func(container) []tar.Header { return []tar.Header{hardlink("h", "../canary")} }},
		{"a hard link through a link", func(container) []tar.Header {
			return []tar.Header{symlink("l", ".."), hardlink("h", "l/canary")}
		}},
		{"a hard link to the host", func(c container) []tar.Header { return []tar.Header{hardlink("h", c.outside+"/canary")} }},
		{"a hard link to what is not there", func(container) []tar.Header { return []tar.Header{hardlink("h", "none")} }},
		{"a device", func(container) []tar.Header {
			return []tar.Header{{Typeflag: tar.TypeBlock, Name: "sda", Devmajor: 8}}
		}},
		{"a pipe", func(container) []tar.Header { return []tar.Header{{Typeflag: tar.TypeFifo, Name: "pipe"}} }},
	} {
		t.Run(a.name, func(t *testing.T) {
			c := newContainer(t)
			c.put(t, "canary", secret, 0o640)
			if err := os.Mkdir(filepath.Join(c.dir, "into"), 0o755); err != nil {
				t.Fatal(err)
			}
			before := c.beside(t)
			err := c.ReadTar("/into", archive(t, a.entries(c)...))
			wantIs(t, err, files.ErrArchive)
			if after := c.beside(t); after != before {
				t.Errorf("beside it was\n%sand is\n%s", before, after)
			}
			entries, err := c.List("/into")
			if err != nil {
				t.Error(err)
			}
			for _, e := range entries {
				if e.Type != "symlink" {
					t.Errorf("it made %+v", e)
				}
			}
		})
	}
}

// beside describes the container's tree but for what is in /into.
func (c container) beside(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	for line := range strings.Lines(snapshot(t, c.dir)) {
		if !strings.HasPrefix(line, "into/") {
			b.WriteString(line)
		}
	}
	return b.String()
}

// TestLinkOnto checks that an entry replaces a link of its name rather than write through it.
func TestLinkOnto(t *testing.T) {
	c := newContainer(t)
	c.put(t, "canary", secret, 0o640)
	c.put(t, "into/own", "", 0o600)
	if err := c.ReadTar("/into", archive(t, symlink("l", "../canary"), file("l"), symlink("m", "../canary"), hardlink("m", "own"))); err != nil {
		t.Fatal(err)
	}
	c.wantHost(t, "canary", secret)
	c.wantHost(t, "into/l", "from l")
	c.wantHost(t, "into/m", "")
}

func TestBrokenArchives(t *testing.T) {
	c := newContainer(t)
	if err := c.Mkdir("/into"); err != nil {
		t.Fatal(err)
	}
	whole := archive(t, file("first"), file("cut")).Bytes()
	const block = 512
	for name, r := range map[string]io.Reader{
		"text":              strings.NewReader(strings.Repeat("this is no archive", 100)),
		"cut in a header":   bytes.NewReader(whole[:2*block+block/2]),
		"cut in the file":   bytes.NewReader(whole[:3*block+3]),
		"cut after headers": bytes.NewReader(whole[:3*block]),
		"changed":           bytes.NewReader(append(bytes.Repeat([]byte("x"), 10), whole[10:]...)),
	} {
		wantIs(t, c.ReadTar("/into", r), files.ErrArchive)
		if strings.HasPrefix(name, "cut") {
			c.wantHost(t, "into/first", "from first")
		}
		if _, err := os.Lstat(filepath.Join(c.dir, "into/cut")); err == nil {
			t.Errorf("%s: half a file is left", name)
		}
	}
	if err := c.ReadTar("/into", strings.NewReader("")); err != nil {
		t.Errorf("nothing: %v", err)
	}
}
