package stdio

import (
	"io"
	"math"
	"sync"
)

// unlimited is the room of a viewer whose hub only empties its hands.
const unlimited = math.MaxInt

// viewer is one attached client: a buffer that the hub fills and one goroutine empties.
type viewer struct {
	writers [3]io.Writer // by Stream; nil: not wanted

	mu      sync.Mutex
	changed sync.Cond
	pending []byte
	runs    []run // what pending holds, in order
	total   int64 // of all that was put, in bytes
	limit   int   // of pending, in bytes
	over    bool  // nothing more will be put
	gone    bool  // nothing more will be taken
	cause   error // why it is over or gone
}

// run is a piece of pending that is of one stream.
type run struct {
	stream Stream
	n      int
}

func newViewer(stdout, stderr io.Writer) *viewer {
	v := &viewer{writers: [3]io.Writer{Stdout: stdout, Stderr: stderr}, limit: chunk}
	v.changed.L = &v.mu
	return v
}

// put waits until there is room for all of p, or the viewer has gone.
func (v *viewer) put(s Stream, p []byte) {
	if v.writers[s] == nil {
		return
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	for len(p) > 0 {
		for !v.over && !v.gone && len(v.pending) >= v.limit {
			v.changed.Wait()
		}
		if v.over || v.gone {
			return
		}
		n := min(len(p), v.limit-len(v.pending))
		v.pending = append(v.pending, p[:n]...)
		if last := len(v.runs) - 1; last >= 0 && v.runs[last].stream == s {
			v.runs[last].n += n
		} else {
			v.runs = append(v.runs, run{s, n})
		}
		p, v.total = p[n:], v.total+int64(n)
		v.changed.Broadcast()
	}
}

// received is how much was put so far, in bytes.
func (v *viewer) received() int64 {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.total
}

// grow raises how much may be pending.
func (v *viewer) grow(limit int) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.limit = max(v.limit, limit)
	v.changed.Broadcast()
}

// end says that no more will be put; what is pending is still delivered.
func (v *viewer) end(cause error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if !v.over {
		v.over, v.cause = true, cause
	}
	v.changed.Broadcast()
}

// leave ends the viewer now.
func (v *viewer) leave(cause error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if !v.gone {
		v.gone, v.cause = true, cause
		v.pending, v.runs = nil, nil
	}
	v.changed.Broadcast()
}

// take waits for something pending, and gives spare in exchange. Nothing: it is over, and why.
func (v *viewer) take(spare []byte, spareRuns []run) ([]byte, []run, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for !v.over && !v.gone && len(v.pending) == 0 {
		v.changed.Wait()
	}
	if v.gone || len(v.pending) == 0 {
		return nil, nil, v.cause
	}
	p, runs := v.pending, v.runs
	v.pending, v.runs = spare[:0], spareRuns[:0]
	v.changed.Broadcast()
	return p, runs, nil
}

// deliver writes all that is put until it is over. The error is why it ended early.
func (v *viewer) deliver() error {
	var spare []byte
	var spareRuns []run
	for {
		p, runs, err := v.take(spare, spareRuns)
		if len(p) == 0 {
			return err
		}
		at := 0
		for _, r := range runs {
			if _, err := v.writers[r.stream].Write(p[at : at+r.n]); err != nil {
				v.leave(err)
				return v.reason()
			}
			at += r.n
		}
		spare, spareRuns = p, runs
	}
}

func (v *viewer) reason() error {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.cause
}
