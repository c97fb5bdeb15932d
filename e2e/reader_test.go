package e2e_test

import (
	"bytes"
	"fmt"
	"io"
	"sync"
	"testing"
)

// reader collects what a program writes to a PTY.
type reader struct {
	mu   sync.Mutex
	seen bytes.Buffer
}

// newReader reads from until it ends, and closes it when the test does.
func newReader(t *testing.T, from io.ReadCloser) *reader {
	t.Helper()
	r := &reader{}
	done := make(chan struct{})
	t.Cleanup(func() { _ = from.Close(); <-done })
	go func() {
		defer close(done)
		buf := make([]byte, 4096)
		for {
			n, err := from.Read(buf)
			r.mu.Lock()
			r.seen.Write(buf[:n])
			r.mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
	return r
}

func (r *reader) until(t *testing.T, text string) {
	t.Helper()
	eventually(t, patience, func() error {
		r.mu.Lock()
		defer r.mu.Unlock()
		if !bytes.Contains(r.seen.Bytes(), []byte(text)) {
			return fmt.Errorf("never shown: %q; shown: %q", text, r.seen.String())
		}
		return nil
	})
}
