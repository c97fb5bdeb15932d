package stdio

import (
	"context"
	"io"
)

// snapshot is what the log holds now; nil where there is none.
func (h *Hub) snapshot() *snapshot {
	h.mu.Lock()
	w := h.streams.Log
	h.mu.Unlock()
	dir := h.logDir
	if w != nil {
		dir = w.dir
	}
	if dir == "" {
		return nil
	}
	s, err := openSnapshot(dir, w)
	if err != nil {
		h.logger.Error("read a log for a client", "error", err)
		return nil
	}
	return s
}

// replay writes a snapshot to a client, and what had no end in it.
func (s *snapshot) replay(ctx context.Context, a AttachOptions) error {
	if s == nil {
		return nil
	}
	defer s.close()
	to := [3]io.Writer{Stdout: a.Stdout, Stderr: a.Stderr}
	r := &reader{LogOptions{Stdout: a.Stdout != nil, Stderr: a.Stderr != nil, Tail: All}, func(l LogLine) error {
		_, err := to[l.Stream].Write(l.Line)
		return err
	}}
	if err := s.read(ctx, r); err != nil {
		return err
	}
	for stream, held := range s.held {
		if len(held) == 0 || to[stream] == nil {
			continue
		}
		if _, err := to[stream].Write(held); err != nil {
			return err
		}
	}
	return nil
}
