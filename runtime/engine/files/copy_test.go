package files_test

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"berth/runtime/engine/files"
)

// entriesOf lists the entries of a tar stream: kind, name, and what links lead to.
func entriesOf(t *testing.T, r io.Reader) []string {
	t.Helper()
	var list []string
	for tr := tar.NewReader(r); ; {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return list
		}
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, strings.TrimSpace(fmt.Sprintf("%c %s %s", h.Typeflag, h.Name, h.Linkname)))
	}
}

// resource is the tar stream of what name leads to.
func (c container) resource(t *testing.T, name string) (*files.Resource, []string) {
	t.Helper()
	r, err := c.Resource(name)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	defer r.Close()
	var b bytes.Buffer
	if err := r.WriteTar(&b); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return r, entriesOf(t, &b)
}

// TestResourcesAreNamedAsDockerDoes checks what ends of paths mean, for files, directories and links.
func TestResourcesAreNamedAsDockerDoes(t *testing.T) {
	c := newContainer(t)
	c.put(t, "dir/file", "x", 0o600)
	c.put(t, "dir/sub/deep", "y", 0o600)
	c.symlink(t, "/dir", "link")
	c.symlink(t, "nowhere/at/all", "dir/broken")
	for _, tc := range []struct {
		name string
		want []string
		base string
	}{
		{"/dir/file", []string{"0 file"}, "file"},
		{"dir/../dir/file", []string{"0 file"}, "file"},
		{"/dir/sub", []string{"5 sub/", "0 sub/deep"}, "sub"},
		{"/dir/sub/", []string{"5 sub/", "0 sub/deep"}, "sub"},
		{"/dir/sub/.", []string{"5 ./", "0 ./deep"}, "."},
		{"/link", []string{"2 link /dir"}, "link"},
		{"/link/", []string{"5 link/", "2 link/broken nowhere/at/all", "0 link/file", "5 link/sub/", "0 link/sub/deep"}, "link"},
		{"/link/sub", []string{"5 sub/", "0 sub/deep"}, "sub"},
	} {
		r, got := c.resource(t, tc.name)
		if !slices.Equal(got, tc.want) || r.Name != tc.base {
			t.Errorf("%s: %q named %q, want %q named %q", tc.name, got, r.Name, tc.want, tc.base)
		}
	}
	for name, target := range map[string]string{"/link": "/dir", "/dir/broken": "/dir/nowhere/at/all", "/link/broken": "/dir/nowhere/at/all"} {
		if r, _ := c.resource(t, name); r.Target != target {
			t.Errorf("%s leads to %q, want %q", name, r.Target, target)
		}
	}
	if _, got := c.resource(t, "/"); got[0] != "5 /" || !slices.Contains(got, "0 /dir/file") {
		t.Errorf("of the root %q", got)
	}
	for name, want := range map[string]error{
		"/none": fs.ErrNotExist, "/dir/file/": unix.ENOTDIR, "/dir/file/.": unix.ENOTDIR, "/none/": fs.ErrNotExist, "/dir/broken/": fs.ErrNotExist,
	} {
		_, err := c.Resource(name)
		wantIs(t, err, want)
	}
}

// TestArchivesKeepWhatFilesAre checks hard links, attributes, owners, times, pipes and names that are not UTF-8, there and
// back, and that holes stay holes.
func TestArchivesKeepWhatFilesAre(t *testing.T) {
	c := newContainer(t)
	c.put(t, "from/a", "linked", 0o640)
	c.put(t, "from/sub/\xff\xfe", "bytes", 0o4755)
	c.symlink(t, "a", "from/link")
	c.fifo(t, "from/pipe")
	old := time.Unix(1_000_000_000, 0)
	f, err := os.Create(filepath.Join(c.dir, "from/holes"))
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.WriteAt([]byte("end"), 64<<20)
	if err := errors.Join(
		err, f.Close(),
		os.Link(filepath.Join(c.dir, "from/a"), filepath.Join(c.dir, "from/sub/b")),
		unix.Setxattr(filepath.Join(c.dir, "from/a"), "user.color", []byte("blue\x00\xff"), 0),
		unix.Setxattr(filepath.Join(c.dir, "from/sub"), "user.color", []byte("red"), 0),
		os.Lchown(filepath.Join(c.dir, "from/link"), 7, 8),
		os.Chown(filepath.Join(c.dir, "from/sub"), 1234, 5678),
		os.Chtimes(filepath.Join(c.dir, "from/sub"), old, old),
		os.Mkdir(filepath.Join(c.dir, "to"), 0o755),
	); err != nil {
		t.Fatal(err)
	}
	r, err := c.Resource("/from")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var b bytes.Buffer
	if err := errors.Join(r.WriteTar(&b), c.Extract("/to", &b, files.ExtractOptions{})); err != nil {
		t.Fatal(err)
	}
	from, to := filepath.Join(c.dir, "from"), filepath.Join(c.dir, "to/from")
	if a, b := snapshotBrief(t, from), snapshotBrief(t, to); a != b {
		t.Errorf("of\n%s\nthis was made:\n%s", a, b)
	}
	var st unix.Stat_t
	if err := unix.Stat(filepath.Join(to, "holes"), &st); err != nil || st.Blocks > 1024 {
		t.Errorf("a file with a hole takes %d blocks, %v", st.Blocks, err)
	}
	if info, err := os.Stat(filepath.Join(to, "sub")); err != nil || !info.ModTime().Equal(old) {
		t.Errorf("the directory is of %v, %v", info.ModTime(), err)
	}
	for name, want := range map[string]string{"a": "blue\x00\xff", "sub/b": "blue\x00\xff", "sub": "red"} {
		value := make([]byte, 100)
		if n, err := unix.Getxattr(filepath.Join(to, name), "user.color", value); err != nil || string(value[:n]) != want {
			t.Errorf("%s has the attribute %q, %v", name, value[:n], err)
		}
	}
}

// snapshotBrief is snapshot without the content of large files.
func snapshotBrief(t *testing.T, dir string) string {
	t.Helper()
	var b strings.Builder
	for line := range strings.Lines(snapshotOf(t, dir)) {
		fmt.Fprintln(&b, line[:min(len(line), 200)])
	}
	return b.String()
}

// snapshotOf is snapshot, but opens no pipe.
func snapshotOf(t *testing.T, dir string) string {
	t.Helper()
	return strings.ReplaceAll(snapshot(t, dir), "\x00", "")
}

// TestExtractFollowsTheContainersLinks checks that names lead where the container's processes would get.
func TestExtractFollowsTheContainersLinks(t *testing.T) {
	c := newContainer(t)
	if err := os.MkdirAll(filepath.Join(c.dir, "run/lock"), 0o755); err != nil {
		t.Fatal(err)
	}
	c.put(t, "var/x", "", 0o600)
	c.symlink(t, "/run", "var/run")
	c.symlink(t, "../../../../../../run", "up")
	if err := c.Extract("/", archive(t, file("var/run/lock/one"), file("up/two"), file("/abs"), file("var/../three")), files.ExtractOptions{}); err != nil {
		t.Fatal(err)
	}
	c.wantHost(t, "run/lock/one", "from var/run/lock/one")
	c.wantHost(t, "run/two", "from up/two")
	c.wantHost(t, "abs", "from /abs")
	c.wantHost(t, "three", "from var/../three")
	if err := c.Extract("/var/run", archive(t, file("four")), files.ExtractOptions{}); err != nil {
		t.Fatal(err)
	}
	c.wantHost(t, "run/four", "from four")
}

// TestExtractNeverLeavesTheContainer checks hostile archives; the canary beside the tree is checked by newContainer.
func TestExtractNeverLeavesTheContainer(t *testing.T) {
	for name, entries := range map[string][]tar.Header{
		"up":                {file("../outside/canary")},
		"deep up":           {file("a/../../outside/canary")},
		"absolute":          {file("/../../outside/canary")},
		"link, then below":  {symlink("l", "../outside"), file("l/canary")},
		"absolute link":     {symlink("l", "/../outside"), file("l/canary")},
		"link over a link":  {symlink("a", "b"), symlink("b", "../../outside"), file("a/canary")},
		"hard link up":      {hardlink("h", "../outside/canary"), file("h")},
		"hard link by link": {symlink("l", "../outside"), hardlink("h", "l/canary"), file("h")},
		"directory by link": {symlink("l", "../outside"), {Typeflag: tar.TypeDir, Name: "l/canary/", Mode: 0o777}},
		"mode by link":      {symlink("l", "../outside/canary"), {Typeflag: tar.TypeDir, Name: "l", Mode: 0o777}},
		"link as a file":    {symlink("f", "../outside/canary"), file("f")},
		"fifo by link":      {symlink("l", "../outside"), {Typeflag: tar.TypeFifo, Name: "l/pipe", Mode: 0o666}},
		"device":            {{Typeflag: tar.TypeBlock, Name: "disk", Mode: 0o666, Devmajor: 8}},
	} {
		t.Run(name, func(t *testing.T) {
			c := newContainer(t)
			_ = c.Extract("/", archive(t, entries...), files.ExtractOptions{}) // refused, or harmless
			if _, err := os.Lstat(filepath.Join(c.outside, "pipe")); err == nil {
				t.Error("a pipe was made outside")
			}
			if info, err := os.Lstat(filepath.Join(c.dir, "disk")); err == nil {
				t.Errorf("a device was made: %v", info.Mode())
			}
		})
	}
}

// TestLinksThatChangeWhileUnpackingStayInside swaps a directory for links to the outside, as fast as it can.
func TestLinksThatChangeWhileUnpackingStayInside(t *testing.T) {
	c := newContainer(t)
	if err := errors.Join(os.Mkdir(filepath.Join(c.dir, "real"), 0o755), os.Symlink("real", filepath.Join(c.dir, "d"))); err != nil {
		t.Fatal(err)
	}
	var swapping sync.WaitGroup
	stop := make(chan struct{})
	swapping.Go(func() {
		targets := []string{"real", "../outside", c.outside, "/proc/1/root" + c.outside, "/proc/self/cwd/../outside"}
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			next := filepath.Join(c.dir, "next")
			if err := errors.Join(os.Symlink(targets[i%len(targets)], next), os.Rename(next, filepath.Join(c.dir, "d"))); err != nil {
				t.Error(err)
				return
			}
		}
	})
	for i := range 300 {
		h := file("d/canary")
		pipe := tar.Header{Typeflag: tar.TypeFifo, Name: "d/pipe", Mode: 0o600}
		_ = c.Extract("/", archive(t, h, file(fmt.Sprint("e", i)), h, pipe, hardlink("d/more", "d/canary")), files.ExtractOptions{})
		if r, err := c.Resource("/d/"); err == nil {
			var b bytes.Buffer
			_ = r.WriteTar(&b)
			r.Close()
			if bytes.Contains(b.Bytes(), []byte(secret)) {
				t.Fatal("the secret was read")
			}
		}
	}
	close(stop)
	swapping.Wait()
	if entries, err := os.ReadDir(c.outside); err != nil || len(entries) != 1 {
		t.Errorf("outside stands %v, %v", entries, err)
	}
}

// TestKindsAreKeptWhenAsked checks noOverwriteDirNonDir, and its messages.
func TestKindsAreKeptWhenAsked(t *testing.T) {
	c := newContainer(t)
	c.put(t, "dest/dir/file", "old", 0o600)
	c.put(t, "dest/file", "old", 0o600)
	keep := files.ExtractOptions{KeepKinds: true}
	for want, h := range map[string]tar.Header{
		`cannot overwrite directory "/dest/dir" with non-directory "/dest"`:  file("dir"),
		`cannot overwrite non-directory "/dest/file" with directory "/dest"`: {Typeflag: tar.TypeDir, Name: "file/", Mode: 0o700},
	} {
		err := c.Extract("/dest", archive(t, h), keep)
		if kind := new(files.KindError); !errors.As(err, &kind) || kind.Error() != want {
			t.Errorf("%v, want %s", err, want)
		}
	}
	c.wantHost(t, "dest/dir/file", "old")
	if err := c.Extract("/dest", archive(t, file("dir"), tar.Header{Typeflag: tar.TypeDir, Name: "file", Mode: 0o751}), files.ExtractOptions{}); err != nil {
		t.Fatal(err)
	}
	c.wantHost(t, "dest/dir", "from dir")
	if info, err := os.Stat(filepath.Join(c.dir, "dest/file")); err != nil || info.Mode() != fs.ModeDir|0o751 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
}

// TestExtractRefusesWhatCannotBe checks destinations.
func TestExtractRefusesWhatCannotBe(t *testing.T) {
	c := newContainer(t)
	c.put(t, "file", "", 0o600)
	wantIs(t, c.Extract("/none", archive(t, file("a")), files.ExtractOptions{}), fs.ErrNotExist)
	wantIs(t, c.Extract("/file", archive(t, file("a")), files.ExtractOptions{}), files.ErrNotDirectory)
	wantIs(t, c.Extract("/", bytes.NewBufferString("no archive"), files.ExtractOptions{}), files.ErrArchive)
	wantIs(t, c.Extract("/", archive(t, tar.Header{Typeflag: 'Z', Name: "z"}), files.ExtractOptions{}), files.ErrArchive)
	wantIs(t, c.Extract("/", archive(t, hardlink("h", "none")), files.ExtractOptions{}), fs.ErrNotExist)
	if err := c.Extract("/", archive(t, file("a"), hardlink("a", "./a")), files.ExtractOptions{}); err != nil {
		t.Errorf("a link to itself: %v", err)
	}
}

// TestExtractGivesFilesToTheOwner checks copyUIDGID's effect, and numbers from the archive without it.
func TestExtractGivesFilesToTheOwner(t *testing.T) {
	c := newContainer(t)
	h := file("new/file")
	h.Uid, h.Gid = 5, 6
	for _, tc := range []struct {
		o         files.ExtractOptions
		uid, gid  uint32
		directory uint32
	}{
		{files.ExtractOptions{Owner: &files.Owner{UID: 1000, GID: 1001}}, 1000, 1001, 1000},
		{files.ExtractOptions{}, 5, 6, 1000},
	} {
		if err := c.Extract("/", archive(t, h), tc.o); err != nil {
			t.Fatal(err)
		}
		var f, d unix.Stat_t
		if err := errors.Join(unix.Stat(filepath.Join(c.dir, "new/file"), &f), unix.Stat(filepath.Join(c.dir, "new"), &d)); err != nil {
			t.Fatal(err)
		}
		if f.Uid != tc.uid || f.Gid != tc.gid || d.Uid != tc.directory {
			t.Errorf("%d:%d in a directory of %d, want %+v", f.Uid, f.Gid, d.Uid, tc)
		}
	}
}

// TestAssembledTreeHasVolumes checks a container that does not run: its volumes are in its tree, made read-only where they
// are, and nobody else sees them mounted.
func TestAssembledTreeHasVolumes(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: a mount namespace is made")
	}
	base := t.TempDir()
	c := container{dir: filepath.Join(base, "tree"), outside: base}
	c.put(t, "etc/passwd", "root", 0o644)
	c.symlink(t, "../../../../outside", "evil")
	c.put(t, "outside/x", "", 0o600)
	c.put(t, "../volume/file", "on the volume", 0o600)
	c.put(t, "../fixed/file", "fixed", 0o600)
	c.put(t, "../hosts", "localhost", 0o600)
	before := mounts(t)
	tree, err := files.Assemble(c.dir, false, []files.Mount{
		{Source: filepath.Join(base, "volume"), Destination: "/data/deep"},
		{Source: filepath.Join(base, "fixed"), Destination: "/evil/fixed", ReadOnly: true},
		{Source: filepath.Join(base, "hosts"), Destination: "/etc/hosts"},
	})
	if err != nil {
		t.Fatal(err)
	}
	c.Tree = tree.Tree
	for name, want := range map[string]string{
		"/data/deep/file": "on the volume", "/evil/fixed/file": "fixed", "/etc/hosts": "localhost", "/etc/passwd": "root",
	} {
		if got, err := c.read(name); err != nil || got != want {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	if err := c.Extract("/data/deep", archive(t, file("new")), files.ExtractOptions{}); err != nil {
		t.Error(err)
	}
	c.wantHost(t, "../volume/new", "from new")
	wantIs(t, c.Extract("/evil/fixed", archive(t, file("new")), files.ExtractOptions{}), files.ErrReadOnlyVolume)
	if after := mounts(t); after != before {
		t.Errorf("mounts were\n%s\nand are\n%s", before, after)
	}
	tree.Close()
	if _, err := os.Stat(filepath.Join(c.dir, "data/deep/file")); err == nil {
		t.Error("the volume is mounted for all")
	}
	tree, err = files.Assemble(c.dir, true, []files.Mount{{Source: filepath.Join(base, "volume"), Destination: "/data/deep"}})
	if err != nil {
		t.Fatal(err)
	}
	defer tree.Close()
	wantIs(t, tree.Extract("/etc", archive(t, file("new")), files.ExtractOptions{}), files.ErrReadOnlyRoot)
	if err := tree.Extract("/data/deep", archive(t, file("new")), files.ExtractOptions{}); err != nil {
		t.Errorf("a volume in a read-only root: %v", err)
	}
}

func mounts(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
