package access_test

import (
	"io/fs"
	"strings"
	"testing"

	"berth/runtime/engine/access"
)

var (
	app      = access.Process{UID: 1000, GIDs: []uint32{1000, 44}, Name: "app"}
	root     = access.Process{Caps: access.CapDACOverride | access.CapDACReadSearch, GIDs: []uint32{0}, Name: "root"}
	bareRoot = access.Process{GIDs: []uint32{0}, Name: "root"}
	web      = access.Container{Name: "web", Image: "site:1", Destination: "/data", Running: true}
)

func dir(path string, uid, gid uint32, mode fs.FileMode) access.Node {
	return access.Node{Path: path, UID: uid, GID: gid, Mode: mode | fs.ModeDir, Owner: map[uint32]string{0: "root", 1000: "app"}[uid]}
}

func file(path string, uid, gid uint32, mode fs.FileMode) access.Node {
	n := dir(path, uid, gid, mode)
	n.Mode &^= fs.ModeDir
	return n
}

func TestExplain(t *testing.T) {
	readOnly, stopped := web, web
	readOnly.ReadOnly, stopped.Running = true, false
	top := dir("/", 0, 0, 0o755)
	for _, c := range []struct {
		name  string
		p     access.Process
		c     access.Container
		nodes []access.Node
		why   []string // parts of the sentence; none: it can be written
		fix   string
	}{
		{"root writes what is another's", root, web, []access.Node{top, dir("/data", 1000, 1000, 0o700), file("/data/a", 1000, 1000, 0o400)}, nil, ""},
		{"its own", app, web, []access.Node{top, dir("/data", 1000, 1000, 0o755)}, nil, ""},
		{"its own file", app, web, []access.Node{top, dir("/data", 0, 0, 0o755), file("/data/a", 1000, 1000, 0o600)}, nil, ""},
		{"by a further group", app, web, []access.Node{top, dir("/data", 0, 44, 0o775)}, nil, ""},
		{"everybody's", app, web, []access.Node{top, dir("/data", 0, 0, 0o777|fs.ModeSticky)}, nil, ""},
		{
			"read-only, even for root", root, readOnly,
			[]access.Node{top, dir("/data", 0, 0, 0o777)},
			[]string{"web mounts this volume read-only at /data", `without ":ro"`},
			"",
		},
		{
			"root's directory", app, web,
			[]access.Node{top, dir("/data", 0, 0, 0o755)},
			[]string{"/data is owned by 0:0 (root) with mode 755", `web runs as uid 1000 "app"`, "only the owner may write", "chown -R 1000:1000", "USER be 0 (root)"},
			"docker exec -u 0 web chown -R 1000:1000 /data",
		},
		{
			"root's directory, stopped", app, stopped,
			[]access.Node{top, dir("/data", 0, 0, 0o755)},
			[]string{"chown -R 1000:1000"},
			"docker run --rm -u 0 --volumes-from web --entrypoint chown site:1 -R 1000:1000 /data",
		},
		{
			"a group that may write", app, web,
			[]access.Node{top, dir("/data", 0, 50, 0o770)},
			[]string{"only the owner or the group may write"},
			"docker exec -u 0 web chown -R 1000:1000 /data",
		},
		{
			"root's file", app, web,
			[]access.Node{top, dir("/data", 1000, 1000, 0o755), file("/data/a", 0, 0, 0o644)},
			[]string{"/data/a is owned by 0:0 (root) with mode 644", "Run chown 1000:1000 on it"},
			"docker exec -u 0 web chown 1000:1000 /data/a",
		},
		{
			"a parent without x", app, web,
			[]access.Node{top, dir("/data", 0, 0, 0o700), file("/data/a", 1000, 1000, 0o644)},
			[]string{"/data is on the way", "mode 700", "may not pass through", "x bit"},
			"docker exec -u 0 web chmod o+x /data",
		},
		{
			"a parent of the mount without x", app, web,
			[]access.Node{top, dir("/srv", 0, 0, 0o700), dir("/srv/data", 1000, 1000, 0o755)},
			[]string{"/srv is on the way"},
			"docker exec -u 0 web chmod o+x /srv",
		},
		{
			"read-only by its own mode", app, web,
			[]access.Node{top, dir("/data", 1000, 1000, 0o755), file("/data/a", 1000, 1000, 0o444)},
			[]string{"it owns the file", "chmod u+w"},
			"docker exec -u 0 web chmod u+w /data/a",
		},
		{
			"the owner's class decides, not others'", app, web,
			[]access.Node{top, dir("/data", 1000, 1000, 0o077)},
			[]string{"it owns the directory", "mode 077", "chmod u+wx"},
			"docker exec -u 0 web chmod u+wx /data",
		},
		{
			"its group may only read", app, web,
			[]access.Node{top, dir("/data", 0, 44, 0o755)},
			[]string{"in its group", "chmod g+wx"},
			"docker exec -u 0 web chmod g+wx /data",
		},
		{
			"root's group, for want of another",
			access.Process{UID: 1000, GIDs: []uint32{0}},
			web,
			[]access.Node{top, dir("/data", 0, 0, 0o755)},
			[]string{"only the owner may write", "chown -R 1000:0"},
			"docker exec -u 0 web chown -R 1000:0 /data",
		},
		{"w without x", app, web, []access.Node{top, dir("/data", 0, 0, 0o756)}, []string{"mode 756"}, "docker exec -u 0 web chown -R 1000:1000 /data"},
		{
			"root without capabilities", bareRoot, web,
			[]access.Node{top, dir("/data", 1000, 1000, 0o755)},
			[]string{"DAC_OVERRIDE", "--cap-add DAC_OVERRIDE"},
			"docker exec -u 0 web chown 0:0 /data",
		},
		{
			"read and search only",
			access.Process{UID: 5, GIDs: []uint32{5}, Caps: access.CapDACReadSearch},
			web,
			[]access.Node{top, dir("/data", 0, 0, 0o700), file("/data/a", 5, 5, 0o600)},
			nil, "",
		},
		{
			"a user without a name",
			access.Process{UID: 7, GIDs: []uint32{7}},
			web,
			[]access.Node{top, dir("/data", 8, 8, 0o700)},
			[]string{"owned by 8:8 with mode 700", "web runs as uid 7: only"},
			"docker exec -u 0 web chown -R 7:7 /data",
		},
		{"a link", app, web, []access.Node{top, {Path: "/data/l", Mode: fs.ModeSymlink | 0o777}}, nil, ""},
		{"nobody known", access.Process{NoUser: true}, web, []access.Node{top, dir("/data", 0, 0, 0o700)}, nil, ""},
		{
			"quoted", app, web,
			[]access.Node{top, file("/data/a b'c; rm -rf $HOME", 0, 0, 0o644)},
			[]string{`"/data/a b'c; rm -rf $HOME"`},
			`docker exec -u 0 web chown 1000:1000 '/data/a b'\''c; rm -rf $HOME'`,
		},
		{"never typed", app, web, []access.Node{top, file("/data/a\nreboot", 0, 0, 0o644)}, []string{`"/data/a\nreboot"`}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := access.Explain(c.p, c.c, c.nodes)
			if got.None() != (len(c.why) == 0) || got.Fix != c.fix {
				t.Errorf("got %+v, want the fix %q", got, c.fix)
			}
			for _, part := range c.why {
				if !strings.Contains(got.Why, part) {
					t.Errorf("%q does not say %q", got.Why, part)
				}
			}
		})
	}
	if got := access.Explain(app, web, nil); !got.None() {
		t.Errorf("nothing asked, and answered %+v", got)
	}
}
