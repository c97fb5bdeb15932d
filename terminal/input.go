package terminal

import (
	"container/list"
	"math"

	"github.com/gorilla/websocket"
)

// Limits of input, in bytes and clients of one terminal.
const (
	// InputWindow is how far ahead of the acknowledgements a client should type: more may be refused.
	InputWindow = 64 << 10
	maxPending  = 2 * InputWindow // of one client, typed but not yet taken by the program
	maxQueue    = 4 * InputWindow // of all clients together
	maxClients  = 256             // remembered; those that are connected are never forgotten
)

// typist is one client's input, over all its connections. The terminal's lock guards it.
type typist struct {
	id       string
	viewer   *viewer // its connection now, if any
	fresh    bool    // nothing is known of it: its first input may have any offset
	accepted uint64  // offset up to which its input was taken into the queue
	pending  uint64  // bytes of it in the queue
	place    *list.Element
}

// written is the offset up to which the program was given the input.
func (c *typist) written() uint64 { return c.accepted - c.pending }

// typists remembers clients, the most recently used first.
type typists struct {
	byID  map[string]*typist
	order list.List
}

// get returns the client with this id; an empty id is a client that nobody remembers.
func (s *typists) get(id string) *typist {
	if id == "" {
		return &typist{fresh: true}
	}
	if c := s.byID[id]; c != nil {
		s.order.MoveToFront(c.place)
		return c
	}
	if s.byID == nil {
		s.byID = make(map[string]*typist)
	}
	c := &typist{id: id, fresh: true}
	c.place = s.order.PushFront(c)
	s.byID[id] = c
	s.forget()
	return c
}

// forget drops the clients that were away for longest, beyond maxClients.
func (s *typists) forget() {
	for e := s.order.Back(); e != nil && s.order.Len() > maxClients; {
		c, before := e.Value.(*typist), e.Prev() //nolint:forcetypeassert // nothing else is put in
		if c.viewer == nil && c.pending == 0 && before != nil {
			s.order.Remove(e)
			delete(s.byID, c.id)
		}
		e = before
	}
}

// span is a run of one client's bytes in the queue.
type span struct {
	from *typist
	n    int
}

// inputQueue is what was typed and not yet written to the PTY, in the order it came.
type inputQueue struct {
	data  []byte
	spans []span
}

// offer takes of one client's input what it has not yet seen. It takes all of that or, with an error, nothing.
func (q *inputQueue) offer(c *typist, offset uint64, data []byte) error {
	if offset > math.MaxUint64-uint64(len(data)) {
		return &websocket.CloseError{Code: websocket.CloseProtocolError, Text: "input offset out of range"}
	}
	if c.fresh {
		c.accepted, c.fresh = offset, false
	}
	if offset > c.accepted {
		return &websocket.CloseError{Code: websocket.CloseProtocolError, Text: "input has a hole"}
	}
	if skip := c.accepted - offset; skip >= uint64(len(data)) {
		return nil
	} else if skip > 0 {
		data = data[skip:]
	}
	if c.pending+uint64(len(data)) > maxPending || len(q.data)+len(data) > maxQueue {
		return &websocket.CloseError{Code: websocket.ClosePolicyViolation, Text: "input is too far ahead of the program"}
	}
	q.data = append(q.data, data...)
	if last := len(q.spans) - 1; last >= 0 && q.spans[last].from == c {
		q.spans[last].n += len(data)
	} else {
		q.spans = append(q.spans, span{from: c, n: len(data)})
	}
	c.accepted += uint64(len(data))
	c.pending += uint64(len(data))
	return nil
}

// taken removes the first n bytes and returns the viewers whose acknowledgement moved.
func (q *inputQueue) taken(n int) []*viewer {
	q.data = q.data[n:]
	var moved []*viewer
	for n > 0 {
		s := &q.spans[0]
		part := min(n, s.n)
		s.n -= part
		s.from.pending -= uint64(part) // not negative
		n -= part
		if s.from.viewer != nil {
			moved = append(moved, s.from.viewer)
		}
		if s.n == 0 {
			q.spans = q.spans[1:]
		}
	}
	if len(q.data) == 0 {
		q.data, q.spans = nil, nil // an idle terminal holds no input memory
	}
	return moved
}
