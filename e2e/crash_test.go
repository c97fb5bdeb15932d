package e2e_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"berth/sessions"
	"berth/terminal"
	"berth/terminal/execstream"
)

const (
	crashSessions = 10
	typedLines    = 150
	readyWithin   = 15 * time.Second // 3 s are promised; machines of tests are noisy
)

// typist is a session with two terminals: one that a person types into, and one that prints by itself.
type typist struct {
	*session
	typed, printed *screen
	reattached     time.Time
}

// TestKilledServer kills a server whose sessions are busy, and starts the next: every byte is seen once and typed once.
func TestKilledServer(t *testing.T) {
	s := serve(t)
	typists := make([]*typist, crashSessions)
	for i := range typists {
		typists[i] = newTypist(s.open("busybox"))
	}
	group, ctx := errgroup.WithContext(t.Context())
	half := make(chan struct{}, crashSessions)
	for _, p := range typists {
		group.Go(func() error { return p.work(ctx, half) })
	}
	for range typists {
		select {
		case <-half:
		case <-ctx.Done():
			t.Fatal(group.Wait())
		}
	}
	s.kill()
	s.start()
	back := time.Now()
	t.Logf("the next server was ready after %s", s.ready)
	if s.ready > readyWithin {
		t.Errorf("the next server needed %s to be ready", s.ready)
	}
	list, err := s.admin().List(t.Context())
	must(t, err)
	for _, l := range list {
		if l.State != sessions.Ready {
			t.Errorf("session %s is %s (%s)", l.ID, l.State, l.Message)
		}
	}
	if len(list) != crashSessions {
		t.Errorf("%d sessions of %d are left", len(list), crashSessions)
	}
	must(t, group.Wait())
	var slowest time.Duration
	for _, p := range typists {
		slowest = max(slowest, p.reattached.Sub(back))
		p.compare(t)
		must(t, p.End(t.Context(), p.id))
	}
	t.Logf("the last viewer was back %s after the server", slowest)
	s.wantNothingLeft()
}

func newTypist(box *session) *typist {
	p := &typist{session: box, typed: box.terminal("typed"), printed: box.terminal("printed")}
	p.typed.types("stty raw -echo; echo be''gin; exec cat\r") // from here on the output is what is typed
	p.typed.until("begin\n")
	p.printed.types("stty -echo; echo be''gin; i=0; while [ ! -e /stop ]; do echo $i $((i*7919%104729)); i=$((i+1)); " +
		"[ $((i%10)) -gt 0 ] || sleep 0.05; done; echo e''nd\r")
	return p
}

func typedText() []byte {
	var b bytes.Buffer
	for i := range typedLines {
		fmt.Fprintf(&b, "%06d %08x\n", i, crc32.ChecksumIEEE(fmt.Append(nil, i)))
	}
	return b.Bytes()
}

// printedText is what must have been printed, as far as it goes: as much as n bytes, then the word that ends it.
func printedText(n int) []byte {
	var b bytes.Buffer
	for i := 0; b.Len()+len(ending) < n; i++ {
		fmt.Fprintf(&b, "%d %d\r\n", i, i*7919%104729)
	}
	return append(b.Bytes(), ending...)
}

// work types, tells when it has typed half, and reads both terminals to the end.
func (p *typist) work(ctx context.Context, half chan<- struct{}) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		lines := bytes.SplitAfter(typedText(), []byte("\n"))
		for i, line := range lines {
			if i == len(lines)/2 {
				half <- struct{}{}
			}
			for _, key := range line {
				if err := p.typed.Type(ctx, []byte{key}); err != nil {
					return fmt.Errorf("type: %w", err)
				}
			}
			select {
			case <-time.After(20 * time.Millisecond): // the pace of a fast paste, so that the server dies in the middle of it
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
		return nil
	})
	want := typedText()
	group.Go(func() error {
		err := p.typed.read(ctx, 3*patience, func() bool {
			if p.reattached.IsZero() && p.typed.lost > 0 && p.typed.attached {
				p.reattached = time.Now()
			}
			return len(after(p.typed)) >= len(want)
		})
		if err != nil {
			return fmt.Errorf("follow what is typed: %w", err)
		}
		_, err = p.Run(ctx, p.id, execstream.Request{Cmd: []string{"touch", "/stop"}}, "")
		return err
	})
	group.Go(func() error {
		err := p.printed.read(ctx, 4*patience, func() bool { return bytes.HasSuffix(beforePrompt(p.printed), []byte(ending)) })
		if err != nil {
			err = fmt.Errorf("follow what is printed: %w", err)
		}
		return err
	})
	return group.Wait()
}

// after is what a terminal showed after the word that begins the test's part.
func after(c *screen) []byte {
	_, rest, _ := bytes.Cut(c.output.Bytes(), []byte("begin"))
	return bytes.TrimLeft(rest, "\r\n")
}

// ending is what the terminal that prints by itself shows last.
const ending = "end\r\n"

// beforePrompt is what was printed by the test's program, without the prompt that comes when it has ended.
func beforePrompt(c *screen) []byte {
	text := after(c)
	if i := bytes.Index(text, []byte(ending)); i >= 0 {
		text = text[:i+len(ending)]
	}
	return text
}

// compare checks what the viewers saw, and that one who comes now sees the same.
func (p *typist) compare(t *testing.T) {
	t.Helper()
	for _, c := range []struct {
		name      string
		screen    *screen
		got, want []byte
	}{
		{"typed", p.typed, after(p.typed), typedText()},
		{"printed", p.printed, beforePrompt(p.printed), printedText(len(beforePrompt(p.printed)))},
	} {
		if !bytes.Equal(c.got, c.want) {
			t.Errorf("session %s, %s: %d bytes, want %d, the first that is wrong is %d", p.id, c.name, len(c.got), len(c.want), differ(c.got, c.want))
		}
		if c.screen.lost == 0 {
			t.Errorf("session %s, %s: the connection was never lost: the test tests nothing", p.id, c.name)
		}
		fresh := p.terminal(c.name)
		must(t, fresh.read(t.Context(), patience, func() bool { return fresh.output.Len() >= c.screen.output.Len() }))
		if old, now := c.screen.output.Bytes(), fresh.output.Bytes(); !bytes.HasPrefix(now, old) {
			t.Errorf("session %s, %s: the scrollback is not what was seen from byte %d on", p.id, c.name, differ(now, old))
		}
	}
}

func differ(a, b []byte) int {
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return i
		}
	}
	return min(len(a), len(b))
}

// TestViewersAreToldOfTheEnd: a viewer whose session ends is told so, and stops asking.
func TestViewersAreToldOfTheEnd(t *testing.T) {
	s := serve(t)
	box := s.open("busybox")
	shell := box.terminal("1")
	shell.until("#")
	must(t, s.admin().End(t.Context(), box.id))
	err := shell.read(t.Context(), patience, func() bool { return false })
	if refused := (*terminal.RefusedError)(nil); !errors.As(err, &refused) || refused.Status != 410 {
		t.Errorf("the viewer ends with %v, want 410 Gone", err)
	}
	s.wantNothingLeft()
}
