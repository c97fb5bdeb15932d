package terminal

import (
	"math"
	"time"

	"github.com/gorilla/websocket"
)

// maxNotices bounds what waits for a viewer that does not read; the oldest is dropped, for the newest says how it stands.
const maxNotices = 16

// notice is a status that belongs between two bytes of output.
type notice struct {
	at     uint64 // sent when all output below this sequence number was
	status Status
}

// viewer is one connection that follows a terminal. The terminal's lock guards all but wake.
type viewer struct {
	t       *Terminal
	typist  *typist
	pos     uint64 // next byte to send
	acked   uint64 // all below was parsed by the client
	told    uint64 // input offset acknowledged to the client
	size    Size   // what it asked for last; zero: nothing
	resized bool   // it has not been told the terminal's size yet
	notices []notice
	kicked  *websocket.CloseError // why it must go
	wakeAt  uint64                // output that ends below this needs not wake it
	pace    pace
	wake    chan struct{} // capacity 1
}

// step is what a viewer's writer does next: send a frame, close, or wait (for at most wait, where that is not 0).
type step struct {
	frame []byte
	close *websocket.CloseError
	wait  time.Duration
}

// next decides. The frame is made in buf.
func (v *viewer) next(now time.Time, buf []byte) step {
	v.t.mu.Lock()
	defer v.t.mu.Unlock()
	if v.kicked != nil {
		return step{close: v.kicked}
	}
	if s, ok := v.nextStatus(); ok {
		return step{frame: appendJSON(buf, s)}
	}
	n, grows := v.sendable()
	hold := time.Duration(0)
	if n > 0 && grows {
		hold = v.pace.hold(now)
	}
	if n > 0 && hold == 0 {
		frame := appendHeader(buf, frameData, v.pos)
		frame = frame[:headerBytes+v.t.ring.ReadAt(frame[headerBytes:headerBytes+n], v.pos)]
		v.pos += uint64(n) // not negative
		v.pace.sent(n)
		return step{frame: frame}
	}
	if w := v.typist.written(); w > v.told {
		v.told = w
		return step{frame: appendHeader(buf, frameAck, w)}
	}
	v.wakeAt = v.pos + 1
	if hold > 0 {
		v.wakeAt = v.pos + maxOutput
	} else if v.pos < v.t.ring.Next() {
		v.wakeAt = math.MaxUint64 // the window is full: only an acknowledgement helps
	}
	return step{wait: hold}
}

// nextStatus takes the status that is due before more output, if any.
func (v *viewer) nextStatus() (Status, bool) {
	switch first := v.t.ring.First(); {
	case len(v.notices) > 0 && v.notices[0].at <= v.pos:
		s := v.notices[0].status
		v.notices = v.notices[1:]
		return s, true
	case v.resized:
		v.resized = false
		return Status{Type: Resized, Cols: v.t.size.Cols, Rows: v.t.size.Rows}, true
	case v.pos < first:
		// Under flood the oldest byte held is gone again in no time: go on a quarter of the ring further.
		to := first
		if held := v.t.ring.Next() - first; held == uint64(v.t.options.RingBytes) {
			to += held / 4
		}
		s := Status{Type: Gap, From: v.pos, To: to}
		v.pos, v.acked = to, to
		v.t.allowRead()
		return s, true
	}
	return Status{}, false
}

// sendable is how much output may be sent in one frame now, and whether waiting could make it more.
func (v *viewer) sendable() (n int, grows bool) {
	limit := min(v.t.ring.Next()-v.pos, maxOutput)
	grows = limit < maxOutput
	window := uint64(v.t.options.HighWatermark) - min(v.pos-v.acked, uint64(v.t.options.HighWatermark))
	if window < limit {
		limit, grows = window, false
	}
	if len(v.notices) > 0 && v.notices[0].at-v.pos <= limit {
		limit, grows = v.notices[0].at-v.pos, false
	}
	return int(limit), grows // at most maxOutput
}

// notify wakes the writer.
func (v *viewer) notify() {
	select {
	case v.wake <- struct{}{}:
	default:
	}
}

// tell queues a status behind the output that there is now.
func (v *viewer) tell(s Status) {
	if len(v.notices) == maxNotices {
		v.notices = append(v.notices[:0], v.notices[1:]...)
	}
	v.notices = append(v.notices, notice{at: v.t.ring.Next(), status: s})
	v.notify()
}

// kick makes the viewer go, with this reason.
func (v *viewer) kick(code int, text string) {
	if v.kicked == nil {
		v.kicked = &websocket.CloseError{Code: code, Text: text}
		v.notify()
	}
}

// Under flood, output is coalesced: within one window so much goes at once, and the rest at its end or in full frames.
const (
	paceWindow = 4 * time.Millisecond
	paceFrames = 8
	paceBytes  = 16 << 10
)

// pace keeps a flood from becoming a flood of small messages, and never delays what comes after idleness or typing.
type pace struct {
	start         time.Time
	frames, bytes int
}

// hold is for how long output should be held back to be sent together with more.
func (p *pace) hold(now time.Time) time.Duration {
	end := p.start.Add(paceWindow)
	if !now.Before(end) {
		*p = pace{start: now}
		return 0
	}
	if p.frames < paceFrames && p.bytes < paceBytes {
		return 0
	}
	return end.Sub(now)
}

func (p *pace) sent(n int) {
	p.frames++
	p.bytes += n
}
