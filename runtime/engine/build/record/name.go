package record

import (
	"regexp"
	"strings"
)

// numbered matches the names that BuildKit's frontend gives to instructions: "[build 2/5] RUN go build".
var numbered = regexp.MustCompile(`(?s)^\[(?:(.*?) )?\s*\d+/\d+\] (.*)$`)

// describe takes a step's name apart.
func (s *track) describe(name string) {
	s.Name, s.Stage, s.Instruction = name, "", name
	if m := numbered.FindStringSubmatch(name); m != nil {
		s.Stage, s.Instruction, s.numbered = m[1], m[2], true
		return
	}
	for _, prefix := range []string{"[internal] ", "[auth] "} {
		if rest, ok := strings.CutPrefix(name, prefix); ok {
			s.Internal, s.Instruction = true, rest
			return
		}
	}
	if i := strings.Index(name, " internal] "); i > 0 && name[0] == '[' { // "[linux/amd64 internal] load metadata"
		s.Internal, s.Instruction = true, name[i+len(" internal] "):]
	}
}
