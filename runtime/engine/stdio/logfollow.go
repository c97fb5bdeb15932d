package stdio

import (
	"context"
	"errors"
	"io/fs"
	"os"
)

// state is what a follower needs to know of the writer.
type state struct {
	gen, size int64
	closed    bool
	changed   <-chan struct{}
}

func (w *LogWriter) state() state {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.changed == nil && w.file != nil {
		w.changed = make(chan struct{})
	}
	return state{w.gen, w.size, w.file == nil, w.changed}
}

// follow emits what is written after the snapshot, through rotations, until the writer is closed.
func (r *reader) follow(ctx context.Context, s *snapshot) error {
	at := position{gen: s.gen}
	if n := len(s.files); n > 0 {
		at.file, at.off = s.files[n-1].File, s.files[n-1].size
	}
	own := false // the snapshot closes its files itself
	defer func() {
		if own {
			_ = at.file.Close() // read only
		}
	}()
	for {
		now := s.w.state()
		moved, err := r.catchUp(ctx, &at, now)
		if err != nil {
			return err
		}
		if now.gen > at.gen {
			f, gen, err := s.w.open(at.gen + 1)
			if err != nil {
				return err
			}
			if own {
				_ = at.file.Close()
			}
			at, own = position{f, gen, 0}, true
			continue
		}
		if moved {
			continue
		}
		if now.closed {
			return nil
		}
		if r.options.Idle != nil {
			if err := r.options.Idle(); err != nil {
				return err
			}
		}
		select {
		case <-now.changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// position is where a follower is.
type position struct {
	file *os.File
	gen  int64
	off  int64
}

// catchUp emits what there is of the follower's file.
func (r *reader) catchUp(ctx context.Context, at *position, now state) (moved bool, err error) {
	if at.file == nil {
		return false, nil
	}
	end := now.size
	if now.gen > at.gen { // nobody writes to it any more
		info, err := at.file.Stat()
		if err != nil {
			return false, err
		}
		end = info.Size()
	}
	if end <= at.off {
		return false, nil
	}
	from := at.off
	at.off = end
	return true, r.section(ctx, at.file, from, end)
}

// open opens the file of generation gen, or the oldest that there is after it.
func (w *LogWriter) open(gen int64) (*os.File, int64, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for ; ; gen++ {
		f, err := os.Open(rotated(w.base, w.gen-gen))
		if err == nil || !errors.Is(err, fs.ErrNotExist) || gen >= w.gen {
			return f, gen, err
		}
	}
}
