package execstream

import (
	"context"
	"io"
	"sync/atomic"
	"time"
)

// drainIdle is how long after a program's end its output must be silent until it is taken for complete, where another
// process still holds it. What the program itself wrote is in the pipe already.
const drainIdle = 300 * time.Millisecond

// drain watches copying of a program's output, to see when it only waits.
type drain struct {
	moves atomic.Int64 // counts
	busy  atomic.Int32 // copies that hand over what they have read
}

func (d *drain) handing() { d.busy.Add(1); d.moves.Add(1) }
func (d *drain) handed()  { d.moves.Add(1); d.busy.Add(-1) }

// wait returns when copies does: by itself at the end of the output, else soon, because the outputs are closed when
// nothing has moved for drainIdle, or when ctx ends.
func (d *drain) wait(ctx context.Context, copies func(), outputs ...io.Closer) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		copies()
	}()
	tick := time.NewTicker(drainIdle)
	defer tick.Stop()
	for last := int64(-1); ; {
		select {
		case <-done:
			closeAll(outputs)
			return
		case <-tick.C:
		case <-ctx.Done():
			last = d.moves.Load()
		}
		if moves := d.moves.Load(); moves != last || d.busy.Load() > 0 && ctx.Err() == nil {
			last = moves
			continue
		}
		closeAll(outputs)
		<-done
		return
	}
}

func closeAll(all []io.Closer) {
	for _, c := range all {
		_ = c.Close()
	}
}
