// Package join is what the engine and docker-exec say to each other: which container to join, and what to be there. It
// imports little, and so does docker-exec: a shell waits for its start. Above all not os, whose initialization raises the
// soft limit of open files, which would be inherited.
package join

import (
	"encoding/binary"
	"errors"
)

// Descriptors of docker-exec beside the program's standard ones.
const (
	RequestFD = 3 // a file that holds the request
	AnswerFD  = 4 // a socket that keeps messages apart (SOCK_SEQPACKET)
	TargetFD  = 5 // pidfd_open(2) of the container's first process
)

// Answers begin with one of these; the PID, as the sandbox sees it, or the message follows as text. A terminal's master
// comes with the PID (SCM_RIGHTS, unix(7)).
const (
	Started = 'p'
	Failed  = 'e'
)

// MaxAnswer is the longest answer in bytes.
const MaxAnswer = 4 << 10

// Request is a process that joins a container.
type Request struct {
	// Groups are files of control groups that take "0", for the writer itself: tasks of each hierarchy of version 1, or the one
	// cgroup.procs of version 2.
	Groups []string

	Args, Env []string
	Cwd       string // absolute

	UID, GID uint32
	Extra    []uint32 // supplementary group IDs
	Umask    int32    // -1: as the engine has it

	// Sets of capabilities, by number: capabilities(7). What the engine does not have itself is left out.
	Bounding, Effective, Permitted, Inheritable uint64

	NoNewPrivileges bool
	Filter          []byte // struct sock_filter's, as they are in memory; empty: none
	FilterFlags     uint32 // seccomp(2)
	Rlimits         []Rlimit
	OOMScoreAdj     int32

	TTY        bool
	Rows, Cols uint16
}

// Rlimit is a limit of getrlimit(2), by number.
type Rlimit struct {
	Resource   uint32
	Soft, Hard uint64
}

// Encode writes the request: integers as 64 bits, strings after their length.
func (r *Request) Encode() []byte {
	var w writer
	w.strings(r.Groups)
	w.strings(r.Args)
	w.strings(r.Env)
	w.string(r.Cwd)
	w.int(uint64(r.UID))
	w.int(uint64(r.GID))
	w.int(uint64(len(r.Extra)))
	for _, g := range r.Extra {
		w.int(uint64(g))
	}
	w.int(uint64(r.Umask))
	for _, set := range []uint64{r.Bounding, r.Effective, r.Permitted, r.Inheritable} {
		w.int(set)
	}
	w.bool(r.NoNewPrivileges)
	w.string(string(r.Filter))
	w.int(uint64(r.FilterFlags))
	w.int(uint64(len(r.Rlimits)))
	for _, l := range r.Rlimits {
		w.int(uint64(l.Resource))
		w.int(l.Soft)
		w.int(l.Hard)
	}
	w.int(uint64(r.OOMScoreAdj))
	w.bool(r.TTY)
	w.int(uint64(r.Rows))
	w.int(uint64(r.Cols))
	return w
}

var errCut = errors.New("the request is cut off")

// Decode reads what Encode wrote.
func Decode(b []byte) (*Request, error) {
	d := reader{b: b}
	r := &Request{Groups: d.strings(), Args: d.strings(), Env: d.strings(), Cwd: d.string()}
	r.UID, r.GID = uint32(d.int()), uint32(d.int())
	for range d.count() {
		r.Extra = append(r.Extra, uint32(d.int()))
	}
	r.Umask = int32(d.int())
	r.Bounding, r.Effective, r.Permitted, r.Inheritable = d.int(), d.int(), d.int(), d.int()
	r.NoNewPrivileges = d.int() != 0
	r.Filter, r.FilterFlags = []byte(d.string()), uint32(d.int())
	for range d.count() {
		r.Rlimits = append(r.Rlimits, Rlimit{Resource: uint32(d.int()), Soft: d.int(), Hard: d.int()})
	}
	r.OOMScoreAdj = int32(d.int())
	r.TTY = d.int() != 0
	r.Rows, r.Cols = uint16(d.int()), uint16(d.int())
	if d.cut || len(d.b) > 0 || len(r.Args) == 0 {
		return nil, errCut
	}
	return r, nil
}

type writer []byte

func (w *writer) int(n uint64) { *w = binary.LittleEndian.AppendUint64(*w, n) }

func (w *writer) bool(b bool) {
	if b {
		w.int(1)
	} else {
		w.int(0)
	}
}

func (w *writer) string(s string) {
	w.int(uint64(len(s)))
	*w = append(*w, s...)
}

func (w *writer) strings(list []string) {
	w.int(uint64(len(list)))
	for _, s := range list {
		w.string(s)
	}
}

type reader struct {
	b   []byte
	cut bool
}

func (r *reader) int() uint64 {
	if len(r.b) < 8 {
		r.b, r.cut = nil, true
		return 0
	}
	n := binary.LittleEndian.Uint64(r.b)
	r.b = r.b[8:]
	return n
}

// count is a number of things that take at least 8 bytes each.
func (r *reader) count() int {
	n := r.int()
	if n > uint64(len(r.b)/8) {
		r.b, r.cut = nil, true
		return 0
	}
	return int(n)
}

func (r *reader) string() string {
	n := r.int()
	if n > uint64(len(r.b)) {
		r.b, r.cut = nil, true
		return ""
	}
	s := string(r.b[:n])
	r.b = r.b[n:]
	return s
}

func (r *reader) strings() []string {
	var list []string
	for range r.count() {
		list = append(list, r.string())
	}
	return list
}
