package build

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/moby/buildkit/client"
	"github.com/opencontainers/go-digest"
)

// vertexName is how BuildKit calls what an instruction makes: [linux/amd64 stage 2/5] RUN make.
var vertexName = regexp.MustCompile(`^\[(?:\S+/\S+ )?(?:(\S+) )? *(\d+)/(\d+)\] `)

// teller tells a build as Docker's first builder did: step by step, in the order of the Dockerfile.
type teller struct {
	script script
	say    func(string)

	next     int                   // the first step that is not told whole
	begun    bool                  // its first line is told
	steps    map[int]*told         // by step
	vertices map[digest.Digest]int // to steps
}

// told is what is known of one step.
type told struct {
	vertex digest.Digest
	cached bool
	done   bool
	failed bool
	output []string // not said yet
}

// follow takes a piece of BuildKit's progress.
func (t *teller) follow(s *client.SolveStatus) {
	if t.steps == nil {
		t.steps, t.vertices = map[int]*told{}, map[digest.Digest]int{}
	}
	for _, v := range s.Vertexes {
		i, ok := t.stepOf(v)
		if !ok {
			continue
		}
		step := t.steps[i]
		if step == nil {
			step = &told{vertex: v.Digest}
			t.steps[i], t.vertices[v.Digest] = step, i
		}
		step.cached = step.cached || v.Cached
		step.done = step.done || v.Completed != nil
		step.failed = step.failed || v.Error != ""
	}
	for _, l := range s.Logs {
		if i, ok := t.vertices[l.Vertex]; ok {
			t.steps[i].output = append(t.steps[i].output, string(l.Data))
		}
	}
	t.advance(false)
}

// stepOf finds the instruction that a vertex is of.
func (t *teller) stepOf(v *client.Vertex) (int, bool) {
	m := vertexName.FindStringSubmatch(v.Name)
	if m == nil || m[1] == "internal" {
		return 0, false
	}
	in := func(l line) bool { return l.stage == m[1] || m[1] == "" && l.stage != "" } // it says no name where there is one stage
	n, _ := strconv.Atoi(m[2])                                                        // digits
	of, _ := strconv.Atoi(m[3])                                                       // as above
	own := 0
	for _, l := range t.script {
		if in(l) && l.layer > own {
			own = l.layer
		}
	}
	n -= of - own // FROM counts where it is of an image
	for i, l := range t.script {
		if in(l) && (n == 0 && l.base || n > 0 && l.layer == n) {
			return i, true
		}
	}
	return 0, false
}

// advance says all that can be said in order. Instructions that make no layer are done when those before them are.
func (t *teller) advance(ended bool) {
	for ; t.next < len(t.script); t.next++ {
		l, step := t.script[t.next], t.steps[t.next]
		if !l.needed {
			continue
		}
		if step == nil && (l.layer > 0 || !ended && l.base && !t.reached(l.stage)) { // not begun, or never
			return
		}
		if !t.begun {
			t.say(fmt.Sprintf("Step %d/%d : %s\n", t.next+1, len(t.script), l.text))
			t.begun = true
			if step != nil && !l.base && !step.cached {
				t.say(" ---> Running in " + shortID(step.vertex) + "\n")
			}
		}
		if step != nil && !t.finish(step, ended) {
			return
		}
		t.begun = false
		switch {
		case step == nil:
			t.say(" ---> " + shortID(digest.FromString(l.text)) + "\n")
		case step.failed: // it is the last one that is told
			t.next = len(t.script)
			return
		case step.cached && !l.base:
			t.say(" ---> Using cache\n ---> " + shortID(step.vertex) + "\n")
		default:
			t.say(" ---> " + shortID(step.vertex) + "\n")
		}
	}
}

// reached reports whether anything of a stage is known: its base image need not be asked for where what stands on it is cached.
func (t *teller) reached(stage string) bool {
	for i := range t.steps {
		if t.script[i].stage == stage {
			return true
		}
	}
	return false
}

// finish says what a step has put out, and reports whether it is over.
func (t *teller) finish(step *told, ended bool) bool {
	for _, o := range step.output {
		t.say(o)
	}
	step.output = nil
	return step.done || ended
}

// end says what is left.
func (t *teller) end(success bool) { t.advance(success) }

func shortID(d digest.Digest) string {
	const digits = 12
	hex := strings.TrimPrefix(d.String(), "sha256:")
	return hex[:min(len(hex), digits)]
}
