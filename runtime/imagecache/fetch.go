package imagecache

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	fetchAttempts = 3
	fetchPause    = time.Second      // before the second attempt; doubles
	stallTimeout  = 60 * time.Second // without one byte from a registry
)

// fetch brings one layer, and once more where the network failed in the middle of it.
func (c *Cache) fetch(ctx context.Context, s *staging, l incomingLayer, label string, tell Progress) error {
	if l.size > 0 {
		label += fmt.Sprintf(" (%s)", megabytes(l.size))
	}
	pause := fetchPause
	for attempt := 1; ; attempt++ {
		start := time.Now()
		tell(label + ": unpacking")
		r, err := c.unpackLayer(ctx, s, l)
		if err == nil {
			tell(fmt.Sprintf("%s: %s in %d entries, %.1f s", label, megabytes(r.Bytes), r.Entries, time.Since(start).Seconds()))
			for _, n := range r.Notes {
				tell("  " + n)
			}
			return nil
		}
		if attempt == fetchAttempts || ctx.Err() != nil || !passing(err) {
			return err
		}
		tell(fmt.Sprintf("%s: %v: trying again in %s", label, err, pause))
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(pause):
		}
		pause *= 2
	}
}

// passing reports whether an error of a stream may be gone the next time.
func passing(err error) bool {
	var network net.Error
	return errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, errStalled) ||
		errors.As(err, &network)
}

var errStalled = fmt.Errorf("the registry sent nothing for %s", stallTimeout)

// stallReader ends a stream that stands still, or whose context ends, by closing it under the reader.
type stallReader struct {
	body    io.ReadCloser
	ctx     context.Context
	timer   *time.Timer
	stalled atomic.Bool
	unhook  func() bool
}

func watchStall(ctx context.Context, body io.ReadCloser) io.ReadCloser {
	s := &stallReader{body: body, ctx: ctx}
	s.timer = time.AfterFunc(stallTimeout, func() {
		s.stalled.Store(true)
		_ = body.Close() // its error is the reader's
	})
	s.unhook = context.AfterFunc(ctx, func() { _ = body.Close() }) // likewise
	return s
}

func (s *stallReader) Read(p []byte) (int, error) {
	s.timer.Reset(stallTimeout)
	n, err := s.body.Read(p)
	switch {
	case err == nil || errors.Is(err, io.EOF):
	case s.stalled.Load():
		err = errStalled
	case s.ctx.Err() != nil:
		err = context.Cause(s.ctx)
	}
	return n, err
}

func (s *stallReader) Close() error {
	s.timer.Stop()
	s.unhook()
	return s.body.Close()
}

func digestOf(b []byte) string {
	sum := sha256.Sum256(b)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// megabytes is a size as Docker shows it: powers of ten.
func megabytes(n int64) string {
	if n < 1e6 {
		return fmt.Sprintf("%.1f kB", float64(n)/1e3)
	}
	return strings.Replace(fmt.Sprintf("%.1f MB", float64(n)/1e6), ".0 ", " ", 1)
}
