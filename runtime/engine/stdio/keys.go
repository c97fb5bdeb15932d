package stdio

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/containerd/errdefs"
)

// DefaultDetachKeys are Docker's: ctrl-p ctrl-q.
func DefaultDetachKeys() []byte { return []byte{'p' & 0x1f, 'q' & 0x1f} }

// ParseDetachKeys reads keys as the docker CLI writes them: single characters, "ctrl-" with a letter or one of @[\]^_, and
// "DEL", with commas between. Nothing means the default. Errors are errdefs.ErrInvalidArgument.
func ParseDetachKeys(s string) ([]byte, error) {
	if s == "" {
		return DefaultDetachKeys(), nil
	}
	var keys []byte
	for key := range strings.SplitSeq(s, ",") {
		after, ctrl := strings.CutPrefix(key, "ctrl-")
		switch {
		case ctrl && len(after) == 1 && strings.ContainsAny(after, "abcdefghijklmnopqrstuvwxyz@[\\]^_"):
			keys = append(keys, after[0]&0x1f)
		case key == "DEL":
			keys = append(keys, 0x7f)
		case len(key) == 1:
			keys = append(keys, key[0])
		default:
			return nil, fmt.Errorf("Invalid detach keys (%s) provided%w", s, invalid{}) //nolint:staticcheck // Docker's words
		}
	}
	return keys, nil
}

// invalid classifies an error without a word of its own.
type invalid struct{}

func (invalid) Error() string { return "" }
func (invalid) Unwrap() error { return errdefs.ErrInvalidArgument }

// detacher looks for the detach keys in what is typed, in whatever pieces it comes.
type detacher struct {
	keys []byte
	held int // how many of keys were just typed, and are held back until the next shows what they were
}

func newDetacher(keys []byte) *detacher {
	if len(keys) == 0 {
		keys = DefaultDetachKeys()
	}
	return &detacher{keys: keys}
}

// filter returns what is to be passed on, and whether the keys were pressed; what follows them is dropped.
func (d *detacher) filter(p []byte) (pass []byte, detached bool) {
	pass = make([]byte, 0, len(p)+d.held)
	for _, b := range p {
		typed := append(bytes.Clone(d.keys[:d.held]), b)
		for len(typed) > 0 && !bytes.HasPrefix(d.keys, typed) { // the longest end of it that the keys begin with
			pass, typed = append(pass, typed[0]), typed[1:]
		}
		if d.held = len(typed); d.held == len(d.keys) {
			return pass, true
		}
	}
	return pass, false
}

// rest is what is held back, when nothing follows.
func (d *detacher) rest() []byte { return d.keys[:d.held] }
