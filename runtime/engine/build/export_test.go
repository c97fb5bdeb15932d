package build

import "github.com/moby/buildkit/client"

// For the tests.
var (
	IsDockerfile = isDockerfile
	SameRegistry = sameRegistry
	FindXZ       = findXZ
)

// What the collector's pace is made of.
const (
	BuildPercent = buildPercent
	RestAfter    = restAfter
)

// Pace returns what marks the begin and the end of a client's stay.
func Pace() (begin, end func()) {
	var p pace
	return p.begin, p.end
}

// Teller returns what takes progress and what ends it, for a Dockerfile.
func Teller(dockerfile, target string, say func(string)) (follow func(*client.SolveStatus), end func(bool), err error) {
	s, err := readScript([]byte(dockerfile), target)
	t := &teller{script: s, say: say}
	return t.follow, t.end, err
}
