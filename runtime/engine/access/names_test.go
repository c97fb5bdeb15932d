package access_test

import (
	"maps"
	"strings"
	"testing"

	"berth/runtime/engine/access"
)

func TestNames(t *testing.T) {
	for _, c := range []struct {
		name, in string
		want     map[uint32]string
	}{
		{"passwd", "root:x:0:0:root:/root:/bin/sh\napp:x:1000:1000::/home/app:/bin/sh\n", map[uint32]string{0: "root", 1000: "app"}},
		{"group, without a last newline", "root:x:0:\nvideo:x:44:app", map[uint32]string{0: "root", 44: "video"}},
		{"the first of an ID", "root:x:0:0\ntoor:x:0:0\n", map[uint32]string{0: "root"}},
		{"no lines of it", "#comment\n\nroot\n:x:1:1\na:x:-1:\nb:x:99999999999:\nc:x:7 8:\n+::::\n", map[uint32]string{}},
		{"hostile names", "<b>:x:1:1\na\x1b[31m:x:2:2\n" + strings.Repeat("n", 65) + ":x:3:3\nfine:x:4:4\n", map[uint32]string{4: "fine"}},
		{"a line without an end", "root:x:0:0\n" + strings.Repeat("x", 200<<10) + ":x:5:5\nlater:x:6:6\n", map[uint32]string{0: "root", 6: "later"}},
		{"too much", strings.Repeat("x", 1<<20) + "\nlate:x:6:6\n", map[uint32]string{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := access.Names(strings.NewReader(c.in)); !maps.Equal(got, c.want) {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
}

func FuzzNames(f *testing.F) {
	f.Add("root:x:0:0:root:/root:/bin/sh\n")
	f.Add("a:b:c\n::\n")
	f.Fuzz(func(t *testing.T, in string) {
		for id, name := range access.Names(strings.NewReader(in)) {
			if name == "" || len(name) > 64 || strings.ContainsAny(name, ":\n\x1b<>") {
				t.Errorf("%d is called %q", id, name)
			}
		}
	})
}
