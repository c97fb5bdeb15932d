package terminal

import "os"

// feed starts writing the queued input, if a program runs and nobody does so yet; input for a program that has ended
// is dropped. The lock is held.
func (t *Terminal) feed() {
	switch {
	case len(t.input.data) == 0 || t.writer != nil || t.state == starting:
	case t.state != running:
		t.drop()
	case t.pty != nil:
		t.writer = make(chan struct{})
		t.work.Add(1)
		go t.write(t.pty, t.writer)
	}
}

// drop counts all queued input as taken. The lock is held.
func (t *Terminal) drop() {
	for _, v := range t.input.taken(len(t.input.data)) {
		v.notify()
	}
}

// write gives the queued input to the program. It blocks while the program does not read; closing the PTY ends it.
func (t *Terminal) write(pty *os.File, done chan<- struct{}) {
	defer t.work.Done()
	defer close(done)
	buf := make([]byte, 0, 1<<10)
	t.mu.Lock()
	defer t.mu.Unlock()
	for len(t.input.data) > 0 {
		buf = append(buf[:0], t.input.data[:min(len(t.input.data), cap(buf))]...)
		t.mu.Unlock()
		n, err := pty.Write(buf)
		t.mu.Lock()
		for _, v := range t.input.taken(n) {
			v.notify()
		}
		if err != nil {
			break // the program is ending; finished drops the rest
		}
	}
	t.writer = nil
}
