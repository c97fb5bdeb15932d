package dockerfile

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
)

// Limits of what a text may ask of BuildKit's frontend, which runs in the first process of the sandbox and has none of its
// own. No Dockerfile that is meant to be built comes near.
const (
	maxStages       = 500
	maxInstructions = 10_000
	maxNesting      = 50        // of ${a:-${b:-…}}: the frontend recurses
	maxExpanded     = 1 << 20   // bytes of one instruction with its variables put in: ENV A=$A$A doubles with every line
	maxEnvironments = 128 << 20 // bytes of the environments of all RUN instructions together: each has its own copy
	unknownSize     = 4 << 10   // bytes that a variable is taken for whose value only the build knows: of its image, or an argument
)

// Guard refuses texts that would cost the frontend more than a sandbox has: too long, too many stages, too deeply nested,
// or growing without end. Errors of the parser are returned as they are; the others are errdefs.ErrInvalidArgument.
func Guard(text []byte) error {
	if len(text) > MaxText {
		return fmt.Errorf("a Dockerfile has at most %d KiB: %w", MaxText>>10, errdefs.ErrInvalidArgument)
	}
	ast, err := parser.Parse(bytes.NewReader(text))
	if err != nil {
		return err
	}
	stages := 0
	for _, node := range ast.AST.Children {
		if strings.EqualFold(node.Value, "from") {
			stages++
		}
		if nesting(node.Original) > maxNesting {
			return refuse(node.Location(), "variables are nested more than %d deep", maxNesting)
		}
	}
	switch {
	case stages > maxStages:
		return refuse(nil, "a Dockerfile has at most %d stages, not %d", maxStages, stages)
	case len(ast.AST.Children) > maxInstructions:
		return refuse(nil, "a Dockerfile has at most %d instructions, not %d", maxInstructions, len(ast.AST.Children))
	}
	parsed, global, err := instructions.Parse(ast.AST, nil)
	if err != nil {
		return err
	}
	return growth(parsed, global)
}

func refuse(at []parser.Range, format string, args ...any) error {
	return parser.WithLocation(fmt.Errorf(format+": %w", append(args, errdefs.ErrInvalidArgument)...), at)
}

// nesting is how deep ${…} stand in each other, or more: quotes are not looked at.
func nesting(s string) int {
	deepest, depth := 0, 0
	for i := range len(s) {
		switch {
		case s[i] == '{' && i > 0 && s[i-1] == '$':
			depth++
			deepest = max(deepest, depth)
		case s[i] == '}' && depth > 0:
			depth--
		}
	}
	return deepest
}

// variable matches $NAME, ${NAME and ${NAME/, which replaces inside the value.
var variable = regexp.MustCompile(`\$(?:\{([A-Za-z_][A-Za-z0-9_]*)(/?)|([A-Za-z_][A-Za-z0-9_]*))`)

// growth follows how long variables become at most. All stages share one scope here, which only overestimates.
func growth(stages []instructions.Stage, global []instructions.ArgCommand) error {
	sizes := map[string]int{}
	environments := 0
	for i := range global {
		if err := grow(sizes, &global[i]); err != nil {
			return err
		}
	}
	for _, s := range stages {
		if expanded(sizes, s.BaseName+s.Platform) > maxExpanded {
			return refuse(s.Location, "with its variables put in, this line has more than %d KiB", maxExpanded>>10)
		}
		for _, cmd := range s.Commands {
			if err := grow(sizes, cmd); err != nil {
				return err
			}
			if _, ok := cmd.(*instructions.RunCommand); !ok {
				continue
			}
			for _, n := range sizes {
				environments += n
			}
			if environments > maxEnvironments {
				return refuse(cmd.Location(), "the environment of this and the RUN instructions before has more than %d MiB", maxEnvironments>>20)
			}
		}
	}
	return nil
}

func grow(sizes map[string]int, cmd instructions.Command) error {
	set := map[string]int{}
	total := 0
	switch c := cmd.(type) {
	case *instructions.EnvCommand:
		for _, kv := range c.Env {
			set[kv.Key] = expanded(sizes, kv.Value)
			total += set[kv.Key] + expanded(sizes, kv.Key)
		}
	case *instructions.ArgCommand:
		for _, kv := range c.Args {
			n := expanded(sizes, kv.ValueString())
			total += n
			set[kv.Key] = max(n, unknownSize) // the build may give another value
		}
	default:
		total = expanded(sizes, replaced(cmd))
	}
	if total > maxExpanded {
		return refuse(cmd.Location(), "with its variables put in, this line has more than %d KiB", maxExpanded>>10)
	}
	for k, n := range set {
		sizes[k] = max(sizes[k], n)
	}
	return nil
}

// replaced is the part of an instruction in which the frontend puts variables in. Those of a RUN are the shell's.
func replaced(cmd instructions.Command) string {
	switch c := cmd.(type) {
	case *instructions.CmdCommand, *instructions.EntrypointCommand, *instructions.HealthCheckCommand, *instructions.ShellCommand,
		*instructions.OnbuildCommand:
		return ""
	case *instructions.RunCommand:
		return flags(c.String())
	case *instructions.CopyCommand:
		return c.String() + texts(c.SourcesAndDest)
	case *instructions.AddCommand:
		return c.String() + texts(c.SourcesAndDest)
	case fmt.Stringer:
		return c.String()
	}
	return ""
}

// flags are the words of an instruction that stand before its arguments.
func flags(code string) string {
	words := strings.Fields(code)
	n := 1
	for n < len(words) && strings.HasPrefix(words[n], "--") {
		n++
	}
	return strings.Join(words[min(1, len(words)):min(n, len(words))], " ")
}

// texts are the files that stand in the Dockerfile itself and have variables in them.
func texts(s instructions.SourcesAndDest) string {
	var all strings.Builder
	for _, c := range s.SourceContents {
		if c.Expand {
			all.WriteString(c.Data)
		}
	}
	return all.String()
}

// expanded is how long s is at most with its variables put in; a little more than maxExpanded stands for all that is longer.
func expanded(sizes map[string]int, s string) int {
	total := len(s)
	for _, m := range variable.FindAllStringSubmatch(s, -1) {
		n, known := sizes[m[1]+m[3]]
		if !known {
			n = unknownSize
		}
		if m[2] != "" { // every byte may be replaced by what stands behind it
			n *= len(s)
		}
		if total += n; total > maxExpanded {
			return maxExpanded + 1
		}
	}
	return total
}
