package dockerfile

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/moby/buildkit/client/llb"
	"github.com/moby/buildkit/frontend/dockerfile/dockerfile2llb"
	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/linter"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
	"github.com/moby/buildkit/frontend/subrequests/lint"
	"github.com/moby/buildkit/solver/pb"
)

// look parses, lints and describes.
func (c *Checker) look(ctx context.Context, text []byte) *Check {
	found := empty()
	if len(bytes.TrimSpace(text)) == 0 {
		found.Error = &Error{Message: "The Dockerfile is empty. It begins with FROM and the name of an image."}
		return found
	}
	if err := Guard(text); err != nil {
		found.Error = errorOf(err)
		return found
	}
	bases := &resolver{images: c.images}
	source := llb.NewSourceMap(nil, "Dockerfile", "Dockerfile", text)
	source.Definition = &llb.Definition{} // the linter reads it: this text came from no build
	options := dockerfile2llb.ConvertOpt{MetaResolver: bases, SourceMap: source}
	results, err := dockerfile2llb.DockerfileLint(ctx, text, options)
	switch {
	case err != nil:
		found.Error = errorOf(err)
	case results.Error != nil:
		line, end := lines(results.Error.Location.Ranges)
		found.Error = &Error{Message: sentence(results.Error.Message), Line: line, EndLine: end}
	}
	stages, args, err := declared(text)
	if err != nil && found.Error == nil { // the linter has parsed the same
		found.Error = errorOf(err)
	}
	found.describe(stages, args)
	if results != nil {
		found.warn(results.Warnings, bases.blind(stages))
	}
	if found.Error == nil {
		found.evaluate(ctx, text, options)
	}
	return found
}

// declared parses the text: its stages, and the arguments before the first.
func declared(text []byte) ([]instructions.Stage, []instructions.ArgCommand, error) {
	ast, err := parser.Parse(bytes.NewReader(text))
	if err != nil {
		return nil, nil, err
	}
	return instructions.Parse(ast.AST, nil)
}

func (c *Check) describe(stages []instructions.Stage, global []instructions.ArgCommand) {
	for _, a := range global {
		c.declare(a)
	}
	for _, s := range stages {
		line, end := ranges(s.Location)
		for _, cmd := range s.Commands {
			if _, last := ranges(cmd.Location()); last > end {
				end = last
			}
			if a, ok := cmd.(*instructions.ArgCommand); ok {
				c.declare(*a)
			}
		}
		c.Stages = append(c.Stages, Stage{Name: s.Name, Base: s.BaseName, Line: line, EndLine: end})
	}
}

// declare notes arguments that are new, or of which the first declaration said no value.
func (c *Check) declare(cmd instructions.ArgCommand) {
	line, _ := ranges(cmd.Location())
	for _, kv := range cmd.Args {
		i := slices.IndexFunc(c.Args, func(a Arg) bool { return a.Name == kv.Key })
		if i < 0 {
			c.Args = append(c.Args, Arg{Name: kv.Key, Value: kv.ValueString(), Line: line})
		} else if c.Args[i].Value == "" {
			c.Args[i].Value = kv.ValueString()
		}
	}
}

// evaluate puts in the values of arguments as a build of the last stage would have them.
func (c *Check) evaluate(ctx context.Context, text []byte, options dockerfile2llb.ConvertOpt) {
	outline, err := dockerfile2llb.Dockerfile2Outline(ctx, text, options)
	if err != nil {
		return // it passed the linter: the values stay as they are written
	}
	for _, known := range outline.Args {
		for i := range c.Args {
			if c.Args[i].Name == known.Name && known.Value != "" {
				c.Args[i].Value = known.Value
			}
		}
	}
}

// warn takes the linter's warnings over, by line. What a base image that is not here defines is not undefined.
func (c *Check) warn(warnings []lint.Warning, blind func(line int) bool) {
	for _, w := range warnings {
		out := Warning{Rule: w.RuleName, Message: w.Detail, Detail: w.Description, URL: w.URL}
		if w.Location != nil {
			out.Line, out.EndLine = lines(w.Location.Ranges)
		}
		switch w.RuleName {
		case linter.RuleUndefinedVar.Name, linter.RuleWorkdirRelativePath.Name:
			if blind(out.Line) {
				continue
			}
		}
		c.Warnings = append(c.Warnings, out)
	}
	slices.SortStableFunc(c.Warnings, func(a, b Warning) int {
		return cmp.Or(a.Line-b.Line, strings.Compare(a.Rule, b.Rule), strings.Compare(a.Message, b.Message))
	})
	c.Warnings = slices.Compact(c.Warnings)
	c.Warnings = c.Warnings[:min(len(c.Warnings), maxWarnings)]
}

// errorOf says an error of the parser in the words of an editor.
func errorOf(err error) *Error {
	e := &Error{Message: sentence(err.Error())}
	var at *parser.LocationError
	if errors.As(err, &at) && len(at.Locations) > 0 {
		e.Line, e.EndLine = ranges(at.Locations[0])
	}
	return e
}

// sentence drops what an editor shows by itself.
func sentence(message string) string {
	message = strings.TrimSuffix(message, ": "+errdefs.ErrInvalidArgument.Error())
	if rest, ok := strings.CutPrefix(message, "dockerfile parse error on line "); ok {
		if _, text, ok := strings.Cut(rest, ": "); ok {
			return text
		}
	}
	return message
}

func ranges(r []parser.Range) (first, last int) {
	for _, p := range r {
		first, last = widen(first, last, p.Start.Line, p.End.Line)
	}
	return first, last
}

func lines(r []*pb.Range) (first, last int) {
	for _, p := range r {
		first, last = widen(first, last, int(p.GetStart().GetLine()), int(p.GetEnd().GetLine()))
	}
	return first, last
}

func widen(first, last, start, end int) (int, int) {
	if first == 0 || start < first {
		first = start
	}
	return first, max(last, start, end)
}
