package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
	"unicode"

	"berth/client"
	"berth/sessions"
)

// rewatch is how long a lost connection for warnings is left alone. What is told meanwhile is not told again.
const rewatch = 2 * time.Second

// warn writes what the session's page would warn of, such as the session's end or a full disk, a line each, until stop is
// called. raw: w is a terminal in raw mode.
func warn(ctx context.Context, c *client.Client, id sessions.ID, w io.Writer, raw bool) (stop func()) {
	format := "berth: %s\n"
	if raw {
		format = "\r\n[berth: %s]\r\n"
	}
	ctx, cancel := context.WithCancel(ctx)
	var watching sync.WaitGroup
	watching.Go(func() {
		for ctx.Err() == nil {
			for e, err := range c.Events(ctx, id) {
				switch {
				case err != nil:
				case e.Notice != nil:
					fmt.Fprintf(w, format, oneLine(e.Notice.Message))
				case e.Session != nil && (e.Session.State == sessions.Ending || e.Session.State == sessions.Ended):
					return // why, is told with the command's own end
				}
			}
			select {
			case <-time.After(rewatch):
			case <-ctx.Done():
			}
		}
	})
	return func() {
		cancel()
		watching.Wait()
	}
}

// oneLine leaves out what would act on a terminal: a message may name a program of the session.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return -1
	}, s)
}
