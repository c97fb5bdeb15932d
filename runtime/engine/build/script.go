package build

import (
	"strconv"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
)

// script is a Dockerfile as Docker's first builder counted it: each instruction is a step.
type script []line

// line is one instruction.
type line struct {
	text   string
	stage  string // as BuildKit calls it
	layer  int    // which of the stage's own layers it makes, from 1; 0: none
	base   bool   // FROM
	needed bool
}

// readScript reads the instructions, and which of them the target needs.
func readScript(dockerfile []byte, target string) (script, error) {
	p, err := parse(dockerfile)
	if err != nil {
		return nil, err
	}
	stages, _, err := instructions.Parse(p.AST, nil)
	if err != nil {
		return nil, invalid("%s", err)
	}
	needed := neededStages(stages, target)
	var s script
	at := -1
	layers := 0
	for _, n := range p.AST.Children {
		l := line{text: n.Original}
		switch strings.ToUpper(n.Value) {
		case "FROM":
			at++
			layers, l.base = 0, true
		case "RUN", "COPY", "ADD", "WORKDIR":
			layers++
			l.layer = layers
		}
		if at < 0 { // ARG before the first FROM
			l.needed = true
		} else {
			l.needed = needed[at]
			l.stage = stageName(stages, at)
		}
		s = append(s, l)
	}
	return s, nil
}

func stageName(stages []instructions.Stage, i int) string {
	if stages[i].Name != "" {
		return stages[i].Name
	}
	return "stage-" + strconv.Itoa(i)
}

// neededStages are those that a target leads to.
func neededStages(stages []instructions.Stage, target string) map[int]bool {
	needed := map[int]bool{}
	first := len(stages) - 1
	if i, ok := findStage(stages, target, len(stages)); ok && target != "" {
		first = i
	}
	var visit func(i int)
	visit = func(i int) {
		if i < 0 || needed[i] {
			return
		}
		needed[i] = true
		for _, from := range references(stages[i]) {
			if j, ok := findStage(stages, from, i); ok {
				visit(j)
			}
		}
	}
	visit(first)
	return needed
}

// references are the names that a stage takes something from.
func references(stage instructions.Stage) []string {
	from := []string{stage.BaseName}
	for _, c := range stage.Commands {
		switch c := c.(type) {
		case *instructions.CopyCommand:
			from = append(from, c.From)
		case *instructions.RunCommand:
			for _, m := range instructions.GetMounts(c) {
				from = append(from, m.From)
			}
		}
	}
	return from
}

// findStage finds a stage before another, by name or number.
func findStage(stages []instructions.Stage, name string, before int) (int, bool) {
	for i := before - 1; i >= 0; i-- {
		if name != "" && (strings.EqualFold(stages[i].Name, name) || strconv.Itoa(i) == name) {
			return i, true
		}
	}
	return 0, false
}
