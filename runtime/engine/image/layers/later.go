package layers

import (
	"fmt"
	"path"
	"strings"
)

// later are the files that one layer removed, rewrote or only gave another owner or mode, of those that another wrote.
type later struct{ layer, of int }

type amount struct {
	bytes int64
	files int
	dir   string  // that all of them are in
	tops  []int32 // what was removed with all in it: files and directories, from the root on
}

func (m *amount) add(size int64, full string) {
	m.bytes += size
	m.files++
	if m.files == 1 {
		m.dir = path.Dir(full)
	}
	for m.dir != "/" && !strings.HasPrefix(full, m.dir+"/") {
		m.dir = path.Dir(m.dir)
	}
}

func (a *adviser) laterLayers() {
	removed, owned, moded, rewritten := map[later]*amount{}, map[later]*amount{}, map[later]*amount{}, map[later]*amount{}
	for n := range int32(a.Len()) {
		below := version{entry: -1}
		for _, v := range a.of(n) {
			if below.entry >= 0 && a.entry(below).bytes() > 0 {
				in := rewritten
				switch {
				case v.entry < 0:
					in = removed
				case !sameContent(a.entry(below), a.entry(v)):
				case a.entry(below).uid != a.entry(v).uid || a.entry(below).gid != a.entry(v).gid:
					in = owned
				case a.entry(below).mode != a.entry(v).mode:
					in = moded
				}
				key := later{int(v.layer), int(below.layer)}
				if in[key] == nil {
					in[key] = &amount{}
				}
				in[key].add(a.entry(below).bytes(), string(a.path(nil, n)))
				if v.entry < 0 {
					if top, all := a.top(n, int(v.layer)), in[key].tops; len(all) == 0 || all[len(all)-1] != top {
						in[key].tops = append(all, top)
					}
				}
			}
			below = v
		}
	}
	for k, m := range removed {
		a.say(k.layer, m.bytes, "%s removes %s (%s in %s) that %s wrote, and the image still carries. "+
			"Remove in the same RUN what it has made: `RUN … && rm -rf %s`.",
			a.quote(k.layer), counted(m.files), human(m.bytes), m.dir, a.quote(k.of), a.what(m))
	}
	for k, m := range owned {
		a.doubled(k, m, "owner", "--chown=USER:GROUP", "chown")
	}
	for k, m := range moded {
		a.doubled(k, m, "mode", "--chmod=MODE", "chmod")
	}
	for k, m := range rewritten {
		a.say(k.layer, m.bytes, "%s writes %s in %s again, of which %s wrote %s: both copies are in the image. "+
			"Do it in one instruction, or begin with a base image that has them new.",
			a.quote(k.layer), counted(m.files), m.dir, a.quote(k.of), human(m.bytes))
	}
}

// top is the highest directory that a layer removes a node with.
func (a *adviser) top(n int32, layer int) int32 {
	for {
		up := a.nodes[n].parent
		if v, _, ok := a.in(up, layer); !ok || v.change != Removed {
			return n
		}
		n = up
	}
}

// what is to be removed, as rm takes it.
func (a *adviser) what(m *amount) string {
	if len(m.tops) > maxNamed {
		return path.Join(m.dir, "…")
	}
	var b []byte
	for _, n := range m.tops {
		b = a.path(append(b, ' '), n)
	}
	return string(b[1:])
}

// doubled is about files that were copied only for another owner or mode.
func (a *adviser) doubled(k later, m *amount, what, option, command string) {
	instead := fmt.Sprintf("Call `%s` in the same RUN that makes them.", command)
	if w := word(a.says[k.of]); w == "COPY" || w == "ADD" {
		instead = fmt.Sprintf("Write `%s %s …` instead.", w, option)
	}
	a.say(k.layer, m.bytes, "%s gives %s in %s another %s, and so carries %s a second time. %s",
		a.quote(k.layer), counted(m.files), m.dir, what, human(m.bytes), instead)
}

// sameContent: overlay copies a file up with its time when only its owner or mode is changed.
func sameContent(a, b *entry) bool {
	return a.kind == File && b.kind == File && a.size == b.size && a.mtime == b.mtime
}
