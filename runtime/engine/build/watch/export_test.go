package watch

import (
	"github.com/moby/buildkit/solver"
	"github.com/moby/buildkit/solver/pb"

	"berth/runtime/engine/build/record"
)

// Graph is graph.
type Graph struct{ *graph }

// ReadGraph is readGraph.
func ReadGraph(d *pb.Definition) (Graph, error) {
	g, err := readGraph(d)
	return Graph{g}, err
}

// Order, Name, Lines, UpTo, Base, Meta and Layers are those of graph.
func (g Graph) Order() []string                        { return g.order }
func (g Graph) Name(id string) string                  { return g.name(id) }
func (g Graph) Lines(id string) (int, int)             { return g.lines(id) }
func (g Graph) UpTo(id string) (*pb.Definition, error) { return g.upTo(id) }
func (g Graph) Base(id string) string                  { return g.base(id) }
func (g Graph) Meta(id string) *pb.Meta                { return g.meta(id) }
func (g Graph) Layers() ([]string, bool)               { return g.layers() }

// Explain is explain.
func Explain(err error) (record.Error, []byte) {
	e := explain(err)
	return e.Error, e.text
}

// Describe is describe.
func Describe(a *record.About, opts map[string]string) { describe(a, opts) }

// Hold keeps the files of a failed step, whose mounts have these results.
func (s *States) Hold(build, step string, results ...solver.Result) {
	s.failed(build, step, &state{meta: &pb.Meta{}, held: results})
}

// MakeRoom is makeRoom.
func (s *States) MakeRoom() { s.makeRoom() }
