package layers_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"berth/runtime/engine/image/layers"
)

// forty makes a layer of 40,000 files in 2,000 directories, as a distribution has them.
func forty(b *testing.B) layer {
	b.Helper()
	l := layer{b, b.TempDir()}
	for d := range 2000 {
		dir := filepath.Join(l.dir, fmt.Sprintf("usr/share/package-%03d/part-%d", d/10, d%10))
		must(b, os.MkdirAll(dir, 0o755))
		for f := range 20 {
			must(b, os.WriteFile(filepath.Join(dir, fmt.Sprintf("some-file-%02d.txt", f)), []byte("x"), 0o644))
		}
	}
	return l
}

func BenchmarkLayerOf40000Files(b *testing.B) {
	l := forty(b)
	x := l.scan()
	var file bytes.Buffer
	must(b, x.Encode(&file))
	b.Run("read", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			l.scan()
		}
	})
	b.Run("open again", func(b *testing.B) { // what is kept, made ready with its waste
		b.ReportAllocs()
		for b.Loop() {
			x, err := layers.Decode(bytes.NewReader(file.Bytes()))
			must(b, err)
			s := layers.NewStack([]*layers.Index{x})
			_, _, _ = s.Totals(), s.Waste(), s.Advise([]string{"RUN x"})
		}
		b.ReportMetric(float64(file.Len()), "disk-B")
	})
	s := layers.NewStack([]*layers.Index{x, x})
	for name, q := range map[string]layers.Query{
		"whole tree":    {Recursive: true, Limit: 50_000},
		"a page":        {Recursive: true, Limit: 200, After: 20_000},
		"one directory": {Path: "/usr/share", Limit: 1000},
		"filtered":      {Recursive: true, Limit: 200, Filter: "file-07"},
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				p, err := s.List(q)
				must(b, err)
				_, err = json.Marshal(p)
				must(b, err)
			}
		})
	}
}
