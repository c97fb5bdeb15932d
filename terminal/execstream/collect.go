package execstream

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"

	"golang.org/x/sys/unix"
)

// Limits of a POST, in bytes.
const (
	MaxBody   = 8 << 20 // of the request, stdin included
	MaxOutput = 4 << 20 // of stdout and of stderr, each; what comes after is dropped
)

// Collected is the answer to a POST. StartError is told as the shell does: exit code 126 or 127 and a line on stderr.
type Collected struct {
	ExitCode  int    `json:"exit_code"`
	Stdout    string `json:"stdout"`
	Stderr    string `json:"stderr"`
	Truncated bool   `json:"truncated,omitempty"` // some output was dropped
}

// Post is the body of a POST.
type Post struct {
	Cmd     []string `json:"cmd"`
	Stdin   string   `json:"stdin,omitempty"`
	Env     []string `json:"env,omitempty"`
	Workdir string   `json:"workdir,omitempty"`
	User    string   `json:"user,omitempty"`
	TTY     bool     `json:"tty,omitempty"`
}

func (h *Handler) serveCollected(w http.ResponseWriter, r *http.Request) {
	var b Post
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, MaxBody)).Decode(&b); err != nil {
		status := http.StatusBadRequest
		if tooLarge := (*http.MaxBytesError)(nil); errors.As(err, &tooLarge) {
			status = http.StatusRequestEntityTooLarge
		}
		problem(w, status, fmt.Errorf("read request: %w", err))
		return
	}
	req := Request{Cmd: b.Cmd, Env: b.Env, Workdir: b.Workdir, User: b.User, TTY: b.TTY}
	if err := req.check(); err != nil {
		problem(w, http.StatusBadRequest, err)
		return
	}
	result, err := h.collect(r.Context(), req, b.Stdin)
	if err != nil {
		problem(w, http.StatusInternalServerError, err)
		return
	}
	answer, err := json.Marshal(result)
	if err != nil {
		problem(w, http.StatusInternalServerError, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(answer)
}

// collect runs a program to its end; when ctx ends it is killed.
func (h *Handler) collect(ctx context.Context, req Request, stdin string) (Collected, error) {
	p, err := h.start(ctx, req)
	if bad := (*StartError)(nil); errors.As(err, &bad) {
		return Collected{ExitCode: bad.Code, Stderr: err.Error() + "\n"}, nil
	}
	if err != nil {
		return Collected{}, fmt.Errorf("start %s: %w", req.Cmd[0], err)
	}
	kill := context.AfterFunc(ctx, func() { _ = p.Signal(unix.SIGKILL) })
	defer kill()
	var input, copies sync.WaitGroup
	input.Go(func() { feed(p, stdin, req.TTY) })
	var d drain
	out, errs := &bounded{drain: &d}, &bounded{drain: &d}
	outputs := []io.Closer{p.Output()}
	copies.Go(func() { _, _ = io.Copy(out, p.Output()) })
	if stderr := p.Errors(); stderr != nil {
		outputs = append(outputs, stderr)
		copies.Go(func() { _, _ = io.Copy(errs, stderr) })
	}
	exit := p.Wait()
	d.wait(ctx, copies.Wait, outputs...)
	_ = p.Input().Close()
	input.Wait()
	if err := ctx.Err(); err != nil {
		return Collected{}, fmt.Errorf("run %s: %w", req.Cmd[0], context.Cause(ctx))
	}
	return Collected{
		ExitCode: exit.Code, Stdout: out.kept.String(), Stderr: errs.kept.String(), Truncated: out.dropped || errs.dropped,
	}, nil
}

// feed writes all of stdin and ends it.
func feed(p Process, stdin string, tty bool) {
	_, err := io.WriteString(p.Input(), stdin)
	switch {
	case err != nil: // the program reads no more
	case tty:
		_, _ = p.Input().Write([]byte{endOfTransmission})
	default:
		_ = p.Input().Close()
	}
}

// bounded keeps the first MaxOutput bytes.
type bounded struct {
	kept    bytes.Buffer
	drain   *drain
	dropped bool
}

func (b *bounded) Write(p []byte) (int, error) {
	b.drain.moves.Add(1)
	room := max(0, MaxOutput-b.kept.Len())
	b.dropped = b.dropped || len(p) > room
	b.kept.Write(p[:min(len(p), room)])
	return len(p), nil
}
