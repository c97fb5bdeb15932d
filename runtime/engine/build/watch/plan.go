package watch

import (
	"fmt"

	"github.com/moby/buildkit/solver/pb"
	"github.com/opencontainers/go-digest"

	"berth/runtime/engine/build/record"
)

// graph is a definition that can be looked into. Its steps have the digests that BuildKit's messages name them by.
type graph struct {
	definition *pb.Definition
	order      []string // digests; what a step needs comes before it
	ops        map[string]*pb.Op
	raw        map[string][]byte
	result     string // the step whose result is the definition's; empty: none
}

func readGraph(d *pb.Definition) (*graph, error) {
	g := &graph{definition: d, ops: map[string]*pb.Op{}, raw: map[string][]byte{}}
	for _, raw := range d.Def {
		op := &pb.Op{}
		if err := op.Unmarshal(raw); err != nil {
			return nil, fmt.Errorf("read a step: %w", err)
		}
		id := digest.FromBytes(raw).String()
		g.ops[id], g.raw[id] = op, raw
		g.order = append(g.order, id)
	}
	if n := len(g.order); n > 0 && g.ops[g.order[n-1]].Op == nil { // the last only says which is the result
		if in := g.ops[g.order[n-1]].Inputs; len(in) == 1 {
			g.result = in[0].Digest
		}
		g.order = g.order[:n-1]
	}
	return g, nil
}

func (g *graph) name(id string) string {
	return g.definition.Metadata[id].GetDescription()["llb.customname"]
}

// lines are where a step stands in the Dockerfile; 0: nowhere. Of one that stands there twice, as a base image may, they are
// the first.
func (g *graph) lines(id string) (first, last int) {
	for _, l := range g.definition.GetSource().GetLocations()[id].GetLocations() {
		if start, end := linesOf(l.GetRanges()); first == 0 || start < first {
			first, last = start, end
		}
	}
	return first, last
}

func linesOf(ranges []*pb.Range) (first, last int) {
	for _, r := range ranges {
		start, end := int(r.GetStart().GetLine()), int(r.GetEnd().GetLine())
		if first == 0 || start < first {
			first = start
		}
		last = max(last, start, end)
	}
	return first, last
}

// output is which of a step's results is a root file system.
func (g *graph) output(id string) int64 {
	if exec := g.ops[id].GetExec(); exec != nil {
		for _, m := range exec.Mounts {
			if m.Dest == pb.RootMount {
				return max(m.Output, 0)
			}
		}
	}
	return 0
}

// upTo is the definition of one step's result alone.
func (g *graph) upTo(id string) (*pb.Definition, error) {
	needed := map[string]bool{}
	g.need(id, needed)
	d := &pb.Definition{Metadata: map[string]*pb.OpMetadata{}, Source: g.definition.Source}
	for _, at := range g.order {
		if !needed[at] {
			continue
		}
		d.Def = append(d.Def, g.raw[at])
		if m := g.definition.Metadata[at]; m != nil {
			d.Metadata[at] = m
		}
	}
	last, err := (&pb.Op{Inputs: []*pb.Input{{Digest: id, Index: g.output(id)}}}).Marshal()
	if err != nil {
		return nil, err
	}
	d.Def = append(d.Def, last)
	return d, nil
}

// need marks a step and all that it is built on.
func (g *graph) need(id string, needed map[string]bool) {
	if needed[id] || g.ops[id] == nil {
		return
	}
	needed[id] = true
	for _, in := range g.ops[id].Inputs {
		g.need(in.Digest, needed)
	}
}

// base is the step whose result this one changes; empty: it begins with nothing.
func (g *graph) base(id string) string {
	op := g.ops[id]
	at := int64(0)
	switch {
	case op.GetExec() != nil:
		at = -1
		for _, m := range op.GetExec().Mounts {
			if m.Dest == pb.RootMount {
				at = m.Input
			}
		}
	case op.GetFile() != nil:
		if actions := op.GetFile().Actions; len(actions) > 0 {
			at = actions[0].Input
		}
	case op.GetSource() != nil:
		at = -1
	}
	if at < 0 || int(at) >= len(op.Inputs) {
		return ""
	}
	return op.Inputs[at].Digest
}

// plan tells the record what will be done.
func (r *run) plan(d *pb.Definition) {
	g, err := readGraph(d)
	if err != nil {
		return // BuildKit refuses it
	}
	if infos := d.Source.Infos; len(infos) > 0 {
		r.build.Text(infos[0].Data)
	}
	steps := make([]record.Planned, 0, len(g.order))
	for _, id := range g.order {
		p := record.Planned{ID: id, Name: g.name(id)}
		if p.Name == "" {
			continue // BuildKit will name it
		}
		for _, in := range g.ops[id].Inputs {
			p.Inputs = append(p.Inputs, in.Digest)
		}
		p.Line, p.EndLine = g.lines(id)
		steps = append(steps, p)
	}
	r.build.Plan(steps)
}
