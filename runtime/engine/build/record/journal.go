package record

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
)

// maxUnwritten bounds what a journal keeps in memory while the disk is full, in bytes.
const maxUnwritten = 1 << 20

// Event is one change of a build. Data is JSON.
type Event struct {
	Seq  int             `json:"seq"`
	Kind string          `json:"event"`
	Data json.RawMessage `json:"data"`
}

// Kinds of events.
const (
	KindBuild   = "build"
	KindStep    = "step"
	KindLog     = "log"
	KindWarning = "warning"
	KindEnd     = "end"
)

// journal is the file of a build's events, a line each, and what of it could not be written yet.
type journal struct {
	path string

	mu        sync.Mutex
	file      *os.File // nil: not open for writing
	size      int64    // bytes of whole lines in the file
	seq       int      // of the last event
	unwritten []byte   // lines behind those of the file
	ended     bool
	changed   chan struct{} // closed by the next event
}

func newJournal(path string) (*journal, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	return &journal{path: path, file: f, changed: make(chan struct{})}, nil
}

// oldJournal is the journal of a build that has ended.
func oldJournal(path string) *journal {
	j := &journal{path: path, ended: true, changed: make(chan struct{})}
	if info, err := os.Stat(path); err == nil {
		j.size = info.Size()
	}
	return j
}

// append adds an event. One that need not be kept is dropped when there is no room; what matters stays.
func (j *journal) append(kind string, data any, droppable bool) {
	b, err := json.Marshal(data)
	if err != nil {
		return // types of ours: cannot fail
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.ended || droppable && len(j.unwritten)+len(b) > maxUnwritten {
		return
	}
	j.seq++
	line, _ := json.Marshal(Event{Seq: j.seq, Kind: kind, Data: b}) // cannot fail either
	j.unwritten = append(append(j.unwritten, line...), '\n')
	j.flush()
	if kind == KindEnd {
		j.end()
	}
	close(j.changed)
	j.changed = make(chan struct{})
}

// flush writes what it can. What a full disk leaves stays for the next time.
func (j *journal) flush() {
	if j.file == nil || len(j.unwritten) == 0 {
		return
	}
	n, err := j.file.WriteAt(j.unwritten, j.size)
	if err != nil {
		n = bytes.LastIndexByte(j.unwritten[:n], '\n') + 1 // half a line is written again
	}
	j.size += int64(n)
	j.unwritten = append([]byte(nil), j.unwritten[n:]...)
}

// end closes the file, unless something is left to be written to it.
func (j *journal) end() {
	j.ended = true
	if len(j.unwritten) == 0 && j.file != nil {
		_ = j.file.Close()
		j.file = nil
	}
}

// close gives the file up.
func (j *journal) close() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.ended = true
	if j.file != nil {
		_ = j.file.Close()
		j.file = nil
	}
}

// part is what there is behind a place.
type part struct {
	size      int64
	unwritten []byte
	ended     bool
	changed   <-chan struct{}
}

func (j *journal) look() part {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.flush() // there may be room again
	if j.ended {
		j.end()
	}
	return part{j.size, j.unwritten, j.ended, j.changed}
}

// follow calls tell with every event after that number, and with those to come, until the last one, or ctx ends, or tell
// fails. wait false: only with those that there are.
func (j *journal) follow(ctx context.Context, after int, wait bool, tell func(Event) error) error {
	f, err := os.Open(j.path)
	if err != nil {
		return fmt.Errorf("open the events of a build: %w", err)
	}
	defer f.Close()
	for at := int64(0); ; {
		now := j.look()
		n, err := events(io.NewSectionReader(f, at, now.size-at), &after, tell)
		if err == nil {
			at += n
			_, err = events(bytes.NewReader(now.unwritten), &after, tell)
		}
		if err != nil || now.ended || !wait {
			return err
		}
		select {
		case <-now.changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// events tells those of r that are behind after, moves after, and says how many bytes it has read.
func events(r io.Reader, after *int, tell func(Event) error) (n int64, err error) {
	lines := bufio.NewReader(r)
	for {
		line, err := lines.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return n, nil // a part of a line was being written when the sandbox ended
		}
		if err != nil {
			return n, err
		}
		n += int64(len(line))
		var e Event
		if err := json.Unmarshal(line, &e); err != nil {
			return n, fmt.Errorf("the events of a build: %w", err)
		}
		if e.Seq <= *after {
			continue
		}
		*after = e.Seq
		if err := tell(e); err != nil {
			return n, err
		}
	}
}
