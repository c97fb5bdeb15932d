package layers_test

import (
	"math"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"berth/runtime/engine/image/layers"
)

func TestWaste(t *testing.T) {
	base := newLayer(t).file("keep", strings.Repeat("k", 100)).file("twice", strings.Repeat("t", 10)).file("tmp/a", strings.Repeat("a", 30)).file("tmp/b", strings.Repeat("b", 20))
	next := newLayer(t).file("twice", strings.Repeat("t", 40)).gone("tmp")
	last := newLayer(t).file("twice", strings.Repeat("t", 5)).file("tmp/a", "back")
	w := stack(base, next, last).Waste()
	// keep 100/100, twice 5/55, tmp/a 0/34, tmp/b 0/20: smallest by sum, as dive has it.
	if want := 105.0 / 209; math.Abs(w.Efficiency-want) > 1e-9 {
		t.Errorf("the efficiency is %v, want %v", w.Efficiency, want)
	}
	if w.Bytes != 50+30+20 || w.Count != 3 {
		t.Errorf("%d bytes in %d files", w.Bytes, w.Count)
	}
	for i, want := range []layers.WastedFile{
		{Path: "/twice", Bytes: 50, Count: 3, Layers: []int{0, 1, 2}, Kind: "rewritten"},
		{Path: "/tmp/a", Bytes: 30, Count: 2, Layers: []int{0, 1, 2}, Kind: "rewritten"},
		{Path: "/tmp/b", Bytes: 20, Count: 1, Layers: []int{0, 1}, Kind: "removed"},
	} {
		got := w.Files[i]
		if got.Path != want.Path || got.Bytes != want.Bytes || got.Count != want.Count || got.Kind != want.Kind || !slices.Equal(got.Layers, want.Layers) {
			t.Errorf("%+v, want %+v", got, want)
		}
	}
}

func TestNothingIsWasted(t *testing.T) {
	w := stack(newLayer(t).file("a", "x"), newLayer(t).file("b", "x").gone("never")).Waste()
	if w.Bytes != 0 || w.Efficiency != 1 || len(w.Files) != 0 {
		t.Errorf("%+v", w)
	}
	if w := stack(newLayer(t)).Waste(); w.Efficiency != 1 {
		t.Errorf("an empty image: %+v", w)
	}
}

// big is enough to be worth a sentence.
var big = strings.Repeat("0123456789abcdef", 16<<10)

func TestAdvice(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	dated := func(l layer, names ...string) layer {
		for _, n := range names {
			must(t, os.Chtimes(l.path(n), at, at))
		}
		return l
	}
	base := newLayer(t).file("var/lib/apt/lists/x", big).file("usr/lib/gcc/cc1", big).file("root/.cache/pip/w", big).file("root/.cache/other", big)
	copied := dated(newLayer(t).file("app/.git/objects/p", big).file("app/node_modules/m/node_modules/x", big).file("app/bin", big).file("app/own", big).file("part/a", big).file("part/b", big).file("part/keep", "x"), "app/bin", "app/own")
	made := newLayer(t).file("build/out.o", big).file("data", big).file("gone/a", big).file("gone/b/c", big)
	after := dated(newLayer(t).gone("build").gone("gone").gone("part/a").gone("part/b").file("app/bin", big).file("app/own", big).file("data", big+"more"), "app/bin", "app/own")
	must(t, os.Chmod(after.path("app/bin"), 0o755))
	must(t, os.Chown(after.path("app/own"), 1000, 1000))
	says := []string{"RUN apt-get update", "COPY . /app", "RUN make", "RUN rm -rf /build && chown app /app"}
	var got []string
	for _, a := range stack(base, copied, made, after).Advise(says) {
		got = append(got, a.Text)
	}
	all := strings.Join(got, "\n")
	for _, want := range []string{
		"`RUN apt-get update` leaves 256 KB of apt's package lists in /var/lib/apt/lists. They are of no use in the image: end this RUN with `&& rm -rf /var/lib/apt/lists/*`.",
		"leaves a C compiler (256 KB in /usr/lib/gcc)", "pip install --no-cache-dir", "caches of programs",
		"`COPY . /app` takes /app/.git along (256 KB).", "`COPY . /app` takes /app/node_modules along (256 KB)", "Write `node_modules` into .dockerignore",
		"removes 3 files (768 KB in /) that `RUN make` wrote", "`RUN … && rm -rf /build /gone`",
		"removes 2 files (512 KB in /part) that `COPY . /app` wrote", "rm -rf /part/a /part/b`",
		"gives a file in /app another mode", "Write `COPY --chmod=MODE …` instead", "gives a file in /app another owner", "Write `COPY --chown=USER:GROUP …` instead",
		"writes a file in / again, of which `RUN make` wrote 256 KB",
	} {
		if !strings.Contains(all, want) {
			t.Errorf("nobody says %q:\n%s", want, all)
		}
	}
	if n := strings.Count(all, "node_modules"); n != 2 {
		t.Errorf("node_modules is spoken of %d times:\n%s", n, all)
	}
}

func TestInstruction(t *testing.T) {
	for _, c := range []struct{ by, comment, want string }{
		{`/bin/sh -c #(nop)  CMD ["sh"]`, "", `CMD ["sh"]`},
		{"/bin/sh -c #(nop) ADD file:" + strings.Repeat("0123456789abcdef", 4) + " in / ", "", "ADD file:0123456789ab in /"},
		{"/bin/sh -c #(nop) COPY dir:" + strings.Repeat("0123456789abcdef", 4) + " in /app ", "", "COPY dir:0123456789ab in /app"},
		{"/bin/sh -c apt-get update", "", "RUN apt-get update"},
		{"RUN /bin/sh -c apt-get update # buildkit", "buildkit.dockerfile.v0", "RUN apt-get update"},
		{"RUN |2 A=1 B=2 /bin/sh -c make # buildkit", "", "RUN make"},
		{"|1 A=1 /bin/sh -c make", "", "RUN make"},
		{"RUN /bin/bash -o pipefail -c curl x | sh # buildkit", "", "RUN curl x | sh"},
		{"RUN /bin/bash -euo pipefail -c make -c x # buildkit", "", "RUN make -c x"},
		{"/bin/sh script", "", "/bin/sh script"},
		{`RUN ["/app", "-x"] # buildkit`, "", `RUN ["/app", "-x"]`},
		{"COPY . /app # buildkit", "", "COPY . /app"},
		{"WORKDIR /app", "", "WORKDIR /app"},
		{"sleep 99", "", "sleep 99"},
		{"", "Imported from -", "Imported from -"},
		{"", "", ""},
	} {
		if got := layers.Instruction(c.by, c.comment); got != c.want {
			t.Errorf("%q: %q, want %q", c.by, got, c.want)
		}
	}
}
