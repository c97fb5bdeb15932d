package build

import (
	"github.com/moby/buildkit/client"
	"google.golang.org/grpc"
)

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

// TellFull returns what adds to the error of a call that the disk at dir is full.
func TellFull(dir string) grpc.UnaryServerInterceptor {
	return (&Builder{o: Options{Dir: dir}}).tellFull
}

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
