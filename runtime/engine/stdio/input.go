package stdio

import (
	"context"
	"io"
)

// write hands input to the process, until it takes no more.
func (h *Hub) write(to io.WriteCloser, quit <-chan struct{}) {
	defer close(h.deaf)
	if to == nil {
		return
	}
	for {
		select {
		case p := <-h.input:
			if _, err := to.Write(p); err != nil {
				return // the process has closed its input, or ended
			}
		case <-h.eof:
			_ = to.Close() // a pipe: nothing is buffered
			return
		case <-quit:
			return
		}
	}
}

// feed passes on a client's input to its end, and reports whether the detach keys were pressed. What is read ahead is
// bounded: two pieces, one of which the process is taking.
func (h *Hub) feed(ctx context.Context, from io.Reader, keys []byte) (detached bool) {
	detach := newDetacher(keys)
	var buffers [2][]byte // a send is taken when the process has the one before: that buffer is free again
	for i := 0; ; i = 1 - i {
		if buffers[i] == nil {
			buffers[i] = make([]byte, chunk)
		}
		n, err := from.Read(buffers[i])
		p := buffers[i][:n]
		if h.tty {
			p, detached = detach.filter(p)
		}
		if err != nil && !detached {
			p = append(p, detach.rest()...)
		}
		if len(p) > 0 && !h.send(ctx, p) {
			return false
		}
		if detached || err != nil {
			return detached
		}
	}
}

// send reports whether the process takes it.
func (h *Hub) send(ctx context.Context, p []byte) bool {
	select {
	case h.input <- p:
		return true
	case <-h.deaf:
	case <-ctx.Done():
	}
	return false
}
