package dockerapi

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/containerd/errdefs"

	"berth/runtime/engine/stdio"
)

// logBuffer is how much of a log is sent at once, in bytes; a follower gets each line when there is no other yet.
const logBuffer = 64 << 10

// logs sends what a container has written.
func (s Streams[C]) logs(w http.ResponseWriter, r *http.Request) error {
	c, err := s.Manager.Get(Var(r, "name"))
	if err != nil {
		return err
	}
	o, err := logOptions(r)
	if err != nil {
		return err
	}
	if c.LogPath() == "" {
		return fmt.Errorf("configured logging driver does not support reading%w", hidden{errdefs.ErrNotImplemented})
	}
	o.Writer = c.LogWriter()
	w.Header().Set("Content-Type", streamType(!c.TTY(), VersionOf(r)))
	w.WriteHeader(http.StatusOK)
	flusher := http.NewResponseController(w)
	if err := flusher.Flush(); err != nil { // the client shall know that it is heard
		return err
	}
	buf := bufio.NewWriterSize(w, logBuffer)
	o.Idle = func() error { return errors.Join(buf.Flush(), flusher.Flush()) }
	stdout, stderr, system := split(buf, !c.TTY())
	timestamps, details := Flag(r, "timestamps"), Flag(r, "details")
	err = stdio.ReadLog(r.Context(), c.Dir(), o, func(l stdio.LogLine) error {
		to := stdout
		if l.Stream == stdio.Stderr {
			to = stderr
		}
		_, err := to.Write(l.Text(timestamps, details))
		return err
	})
	if err != nil && !errors.Is(err, context.Canceled) {
		fmt.Fprintf(system, "Error grabbing logs: %v\n", err)
	}
	return buf.Flush()
}

func logOptions(r *http.Request) (stdio.LogOptions, error) {
	o := stdio.LogOptions{Stdout: Flag(r, "stdout"), Stderr: Flag(r, "stderr"), Follow: Flag(r, "follow"), Tail: stdio.All}
	if !o.Stdout && !o.Stderr {
		return o, Invalid("Bad parameters: you must choose at least one stream")
	}
	if n, err := strconv.Atoi(r.FormValue("tail")); err == nil { // "all", and as Docker anything else
		o.Tail = n
	}
	var err error
	if o.Since, err = timestamp(r.FormValue("since")); err != nil {
		return o, err
	}
	if until := r.FormValue("until"); until != "0" {
		o.Until, err = timestamp(until)
	}
	return o, err
}

// nanoseconds are the digits of a second's fraction.
const nanoseconds = 9

// timestamp reads seconds since 1970 with a fraction, as clients write times. Nothing is the zero time.
func timestamp(v string) (time.Time, error) {
	if v == "" {
		return time.Time{}, nil
	}
	whole, fraction, _ := strings.Cut(v, ".")
	seconds, err := strconv.ParseInt(whole, 10, 64)
	if err != nil {
		return time.Time{}, Invalid("invalid timestamp %q: seconds since 1970 are wanted", v)
	}
	var nanos int64
	if fraction != "" {
		digits := (fraction + strings.Repeat("0", nanoseconds))[:nanoseconds]
		if nanos, err = strconv.ParseInt(digits, 10, 64); err != nil || nanos < 0 {
			return time.Time{}, Invalid("invalid timestamp %q: seconds since 1970 are wanted", v)
		}
	}
	return time.Unix(seconds, nanos), nil
}
