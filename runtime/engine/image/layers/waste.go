package layers

import (
	"cmp"
	"slices"
)

const maxWasted = 200 // files that are told; the sums are of all

// Waste is what an image carries that nobody sees.
//
// Efficiency is as dive defines it (github.com/wagoodman/dive, dive/filetree/efficiency.go): for every path that a layer has
// a file at, the smallest size that it ever had, summed up over all paths, by the sum of all sizes that it had; a removal is a
// size of 0. Like the comment there, and unlike its code, this also holds for files that went with their directory.
//
// Bytes is not dive's wastedBytes, which holds the copy that is still seen too: it is what a rebuild can save.
type Waste struct {
	Bytes      int64        `json:"bytes"`
	Efficiency float64      `json:"efficiency"` // 1: nothing is wasted
	Files      []WastedFile `json:"files"`      // the largest, largest first
	Count      int          `json:"count"`      // of all files that waste something
	Advice     []Advice     `json:"advice"`     // what saves most first
}

// WastedFile is a path that more than one layer has something to say of.
type WastedFile struct {
	Path   string `json:"path"`
	Bytes  int64  `json:"bytes"`  // that are in the image and never seen
	Count  int    `json:"count"`  // of copies in the image
	Layers []int  `json:"layers"` // that wrote or removed it
	Kind   string `json:"kind"`   // rewritten, removed

	node int32
}

// Waste finds the files that were rewritten or removed by a later layer.
func (s *Stack) Waste() Waste {
	w := Waste{Files: []WastedFile{}, Advice: []Advice{}, Efficiency: 1}
	var least, all int64
	for n := range int32(s.Len()) {
		minimum, sum, f := s.wasted(n)
		least, all = least+minimum, all+sum
		if f.Bytes > 0 {
			w.Bytes += f.Bytes
			w.Files = append(w.Files, f)
		}
	}
	if all > 0 {
		w.Efficiency = float64(least) / float64(all)
	}
	w.Count = len(w.Files)
	slices.SortStableFunc(w.Files, func(a, b WastedFile) int { return cmp.Compare(b.Bytes, a.Bytes) })
	w.Files = slices.Clip(w.Files[:min(len(w.Files), maxWasted)])
	for i := range w.Files {
		f := &w.Files[i]
		f.Path = string(s.path(nil, f.node))
		for _, v := range s.of(f.node) {
			f.Layers = append(f.Layers, int(v.layer))
		}
	}
	return w
}

// wasted counts one path: the smallest size of a file there, the sum of all, and what of it is no more seen.
func (s *Stack) wasted(n int32) (minimum, sum int64, f WastedFile) {
	f.node, f.Kind = n, "rewritten"
	minimum = -1
	var last int64
	for _, v := range s.of(n) {
		last = 0
		if v.entry >= 0 {
			x := s.entry(v)
			last = x.bytes()
			if x.kind != Directory {
				f.Count++
			}
		}
		if v.entry < 0 || s.entry(v).kind == Directory {
			if f.Count == 0 {
				continue // a directory was never a file
			}
			f.Kind = "removed"
		} else {
			f.Kind = "rewritten"
		}
		sum += last
		if minimum < 0 || last < minimum {
			minimum = last
		}
	}
	f.Bytes = sum - last
	return max(0, minimum), sum, f
}
