package layers_test

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"

	"berth/runtime/engine/image/layers"
)

func TestChanges(t *testing.T) {
	base := newLayer(t).file("etc/passwd", "root").file("usr/a", "a").file("usr/lib/b", "bb").file("var/cache/x", "xxx").file("var/cache/sub/y", "y")
	next := newLayer(t).file("etc/passwd", "root and more").file("usr/new", "n").gone("usr/lib").gone("never").opaque("var/cache").file("var/cache/z", "z")
	third := newLayer(t).file("usr/lib", "a file now").file("var/cache/x", "again")
	s := stack(base, next, third)
	for _, c := range []struct {
		what string
		q    layers.Query
		want string
	}{
		{"all of the first", layers.Query{Recursive: true}, "+/etc +/etc/passwd +/usr +/usr/a +/usr/lib +/usr/lib/b +/var +/var/cache +/var/cache/sub +/var/cache/sub/y +/var/cache/x"},
		{"what the second does", layers.Query{Layer: 1, Recursive: true}, " /etc ~/etc/passwd  /usr -/usr/lib -/usr/lib/b +/usr/new  /var  /var/cache -/var/cache/sub -/var/cache/sub/y -/var/cache/x +/var/cache/z"},
		{"what is seen then", layers.Query{Layer: 1, Recursive: true, Merged: true}, " /etc ~/etc/passwd  /usr  /usr/a +/usr/new  /var  /var/cache +/var/cache/z"},
		{"the third", layers.Query{Layer: 2, Recursive: true}, " /usr +/usr/lib  /var  /var/cache +/var/cache/x"},
		{"one level", layers.Query{Layer: 2, Merged: true, Path: "/usr"}, " /usr/a +/usr/lib  /usr/new"},
		{"only removed, flat", layers.Query{Layer: 1, Recursive: true, Change: layers.Removed}, "-/usr/lib -/usr/lib/b -/var/cache/sub -/var/cache/sub/y -/var/cache/x"},
		{"only removed, as a tree", layers.Query{Layer: 1, Change: layers.Removed}, " /usr  /var"},
		{"a name", layers.Query{Layer: 2, Recursive: true, Merged: true, Filter: "PASS"}, " /etc/passwd"},
		{"a path", layers.Query{Layer: 2, Recursive: true, Merged: true, Filter: "cache/"}, "+/var/cache/x  /var/cache/z"},
		{"by size", layers.Query{Layer: 0, Path: "var/cache", BySize: true}, "+/var/cache/x +/var/cache/sub"},
		{"a page", layers.Query{Recursive: true, After: 2, Limit: 2}, "+/usr +/usr/a"},
		{"behind the end", layers.Query{Recursive: true, After: 99, Limit: 2}, ""},
	} {
		if got := strings.Join(lines(list(t, s, c.q)), " "); got != c.want {
			t.Errorf("%s:\ngot  %s\nwant %s", c.what, got, c.want)
		}
	}
	for name, is := range map[string]func(error) bool{"/none": errdefs.IsNotFound, "/etc/passwd": errdefs.IsFailedPrecondition, "/etc/passwd/x": errdefs.IsNotFound} {
		if _, err := s.List(layers.Query{Path: name, Merged: true, Limit: 1}); !is(err) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := s.List(layers.Query{Path: "/usr/lib", Layer: 1, Merged: true}); !errdefs.IsNotFound(err) {
		t.Errorf("a directory that is gone: %v", err)
	}
	sums := s.Totals()
	if sums[0].Added != 5 || sums[1].Added != 2 || sums[1].Changed != 1 || sums[1].Removed != 3 || sums[1].Bytes != 15 || sums[2].Added != 2 {
		t.Errorf("the sums are %+v", sums)
	}
}

// TestSums checks sizes of directories, of what has changed, and of files with several names.
func TestSums(t *testing.T) {
	base := newLayer(t).file("d/a", "12345").file("d/e/b", "123")
	must(t, os.Link(base.path("d/a"), base.path("d/e/same")))
	s := stack(base, newLayer(t).file("d/e/b", "1234567"))
	d := list(t, s, layers.Query{})[0]
	if d.Size != 8 || d.Below.Files != 3 || d.Below.Bytes != 8 || d.Below.Added != 3 {
		t.Errorf("d is %+v %+v", d, d.Below)
	}
	same := list(t, s, layers.Query{Path: "/d/e"})[1]
	if same.Size != 5 || !same.Linked {
		t.Errorf("the second name is %+v", same)
	}
	b := list(t, s, layers.Query{Path: "/d/e", Layer: 1, Merged: true})[0]
	if b.Size != 7 || *b.Before != 3 || b.Layer != 1 || b.Mode != "-rw-r--r--" || b.Type != "file" {
		t.Errorf("b is %+v", b)
	}
}

// TestTreeIsWhatOverlayShows compares stacks of random layers with what the kernel's overlay makes of their directories.
func TestTreeIsWhatOverlayShows(t *testing.T) {
	for seed := range uint64(12) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 7))
			list := []layer{}
			for range 5 {
				list = append(list, randomLayer(t, random))
			}
			s := stack(list...)
			before := map[string]string{}
			for top := range list {
				now := overlay(t, list[:top+1])
				compareTrees(t, s, top, now)
				compareChanges(t, s, top, before, now)
				before = now
			}
		})
	}
}

func randomLayer(t *testing.T, random *rand.Rand) layer {
	l := newLayer(t)
	names := []string{"a", "b", "c", "d\n", "\xff"}
	var fill func(dir string, depth int)
	fill = func(dir string, depth int) {
		for _, n := range names {
			p := filepath.Join(dir, n)
			switch k := random.IntN(10); {
			case k < 2:
				l.file(p, strings.Repeat("x", random.IntN(50)))
			case k < 3:
				l.gone(p)
			case k < 4:
				l.link(p, "../a")
			case k < 7 && depth < 4:
				must(t, os.MkdirAll(l.path(p), 0o755))
				if random.IntN(4) == 0 {
					l.opaque(p)
				}
				fill(p, depth+1)
			}
		}
	}
	fill("", 0)
	return l
}

// overlay mounts layers, and describes every path that there is.
func overlay(t *testing.T, list []layer) map[string]string {
	t.Helper()
	at := t.TempDir()
	dirs := []string{t.TempDir()} // overlay wants two at least
	for _, l := range list {
		dirs = append([]string{l.dir}, dirs...)
	}
	must(t, unix.Mount("overlay", at, "overlay", 0, "userxattr,lowerdir="+strings.Join(dirs, ":")))
	defer func() { must(t, unix.Unmount(at, unix.MNT_DETACH)) }()
	all := map[string]string{}
	must(t, filepath.WalkDir(at, func(p string, d fs.DirEntry, err error) error {
		must(t, err)
		if p == at {
			return nil
		}
		info, err := d.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil // the kernel lists marks of what is gone where there is nothing to merge, and then does not find them
		}
		must(t, err)
		text := strings.ToLower(info.Mode().String()) // ls writes a link's l small
		if info.Mode().IsRegular() {
			text += fmt.Sprint(" ", info.Size())
		}
		all[strings.TrimPrefix(p, at)] = text
		return nil
	}))
	return all
}

func compareTrees(t *testing.T, s *layers.Stack, top int, want map[string]string) {
	t.Helper()
	got := map[string]string{}
	for _, e := range list(t, s, layers.Query{Layer: top, Merged: true, Recursive: true}) {
		text := e.Mode
		if e.Type == "file" {
			text += fmt.Sprint(" ", e.Size)
		}
		got[e.Path] = text
	}
	if !maps.Equal(got, want) {
		t.Errorf("layers up to %d:\ngot  %q\nwant %q", top, got, want)
	}
}

// compareChanges: what a layer removes and adds is what the next mount lacks and has.
func compareChanges(t *testing.T, s *layers.Stack, top int, before, now map[string]string) {
	t.Helper()
	var got, want []string
	for _, e := range list(t, s, layers.Query{Layer: top, Recursive: true}) {
		if e.Change == "added" || e.Change == "removed" {
			got = append(got, e.Change+e.Path)
		}
	}
	for p := range before {
		if _, ok := now[p]; !ok {
			want = append(want, "removed"+p)
		}
	}
	for p := range now {
		if _, ok := before[p]; !ok {
			want = append(want, "added"+p)
		}
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("layer %d:\ngot  %q\nwant %q", top, got, want)
	}
}

// TestManyNames has 100,000 entries in one directory, which a later layer removes.
func TestManyNames(t *testing.T) {
	base := newLayer(t)
	must(t, unix.Mount("tmpfs", base.dir, "tmpfs", 0, "")) // it makes files faster
	t.Cleanup(func() { must(t, unix.Unmount(base.dir, unix.MNT_DETACH)) })
	must(t, os.Mkdir(base.path("many"), 0o755))
	for i := range 100_000 {
		f, err := os.Create(filepath.Join(base.dir, "many", fmt.Sprintf("%06d", i)))
		must(t, err)
		must(t, f.Close())
	}
	s := stack(base, newLayer(t).gone("many"))
	p, err := s.List(layers.Query{Path: "/many", After: 99_998, Limit: 5})
	must(t, err)
	if p.Total != 100_000 || len(p.Entries) != 2 || p.Entries[1].Name != "099999" {
		t.Errorf("%d, %v", p.Total, lines(p.Entries))
	}
	if sum := s.Totals()[1]; sum.Removed != 100_000 {
		t.Errorf("%+v", sum)
	}
}

func TestDeepTree(t *testing.T) {
	l := newLayer(t)
	deep := strings.Repeat("d/", 1800)
	must(t, os.MkdirAll(filepath.Join(l.dir, deep), 0o755))
	l.file(deep+"f", "x")
	s := stack(l)
	if got := list(t, s, layers.Query{Recursive: true, Filter: "f"}); len(got) != 1 || got[0].Path != "/"+deep+"f" {
		t.Errorf("%d entries", len(got))
	}
}

func TestScanOfNothing(t *testing.T) {
	if _, err := layers.Scan(t.Context(), filepath.Join(t.TempDir(), "none")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%v", err)
	}
}
