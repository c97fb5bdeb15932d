package layers

// Sums are counts of what is below a directory: files are all that are no directories.
type Sums struct {
	Files   int   `json:"files"`
	Bytes   int64 `json:"bytes"`
	Added   int   `json:"added"`
	Changed int   `json:"changed"`
	Removed int   `json:"removed"`
}

// sums adds up what is below a node, as the query sees it. What a layer removes has no bytes in it.
func (s *Stack) sums(top int32, q Query) Sums {
	var sum Sums
	for n := top + 1; n < s.nodes[top].end; n++ {
		in, below, ok := s.in(n, q.Layer)
		if ok {
			sum.count(s, in, below)
		}
		v := in
		if q.Merged {
			v, ok = s.asOf(n, q.Layer)
		}
		if ok && v.entry >= 0 && s.entry(v).kind != Directory {
			sum.Files++
			sum.Bytes += s.entry(v).bytes()
		}
	}
	return sum
}

// count counts a change, where it is one of a file.
func (sum *Sums) count(s *Stack, v, below version) {
	switch {
	case v.change == Removed && s.entry(below).kind != Directory:
		sum.Removed++
	case v.entry < 0 || s.entry(v).kind == Directory:
	case v.change == Added:
		sum.Added++
	case v.change == Changed:
		sum.Changed++
	}
}

// Totals are the sums of what one layer adds, changes and removes.
func (s *Stack) Totals() []Sums {
	sums := make([]Sums, len(s.layers))
	for n := range int32(s.Len()) {
		below := version{entry: -1}
		for _, v := range s.of(n) {
			sum := &sums[v.layer]
			sum.count(s, v, below)
			if v.entry >= 0 && s.entry(v).kind != Directory {
				sum.Files++
				sum.Bytes += s.entry(v).bytes()
			}
			below = v
		}
	}
	return sums
}
