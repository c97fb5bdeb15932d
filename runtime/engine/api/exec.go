package api

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// maxOutput bounds each stream of an answer; what is over it is dropped and said so. The streamed form has no bound.
const maxOutput = 4 << 20

// drainTime is how long output is read after a process has ended. What it wrote itself is there at once.
const drainTime = 500 * time.Millisecond

type execRequest struct {
	Command
	Stdin string `json:"stdin"`
}

type execAnswer struct {
	ExitCode  int    `json:"exit_code"`
	Stdout    string `json:"stdout"`
	Stderr    string `json:"stderr"`
	Truncated bool   `json:"truncated,omitempty"` // a stream was longer than 4 MiB
}

// exec runs a command to its end. The process is killed when the client goes.
func (s *Server) exec(w http.ResponseWriter, r *http.Request) {
	var req execRequest
	if err := decode(w, r, maxExecBody, &req); err != nil {
		s.fail(w, r, err)
		return
	}
	if err := req.validate(); err != nil {
		s.fail(w, r, err)
		return
	}
	p, err := s.Workspace.Exec(r.Context(), req.Command)
	var start *StartError
	if errors.As(err, &start) {
		answer(w, http.StatusOK, execAnswer{ExitCode: start.Code, Stderr: start.Message + "\n"})
		return
	}
	if err != nil {
		s.fail(w, r, err)
		return
	}
	a, err := p.collect(r.Context(), req.Stdin)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	answer(w, http.StatusOK, a)
}

func (c Command) validate() error {
	if len(c.Cmd) == 0 || c.Cmd[0] == "" {
		return fmt.Errorf(`%w: "cmd" is empty: give a command and its arguments, as ["uname","-r"]`, ErrInvalid)
	}
	for _, kv := range c.Env {
		if i := strings.IndexByte(kv, '='); i <= 0 {
			return fmt.Errorf("%w: environment %q is not of the form KEY=value", ErrInvalid, kv)
		}
	}
	if c.Workdir != "" && c.Workdir[0] != '/' {
		return fmt.Errorf("%w: workdir %q is not absolute", ErrInvalid, c.Workdir)
	}
	return nil
}

// collect feeds stdin, gathers the output and waits. When ctx ends first, the process is killed.
func (p *Process) collect(ctx context.Context, stdin string) (execAnswer, error) {
	stop := context.AfterFunc(ctx, func() { _ = p.Signal(unix.SIGKILL) }) // it has ended: nothing to kill
	defer stop()
	var a execAnswer
	var out, errs capped
	var copies sync.WaitGroup
	in, output := p.Stdin, p.Stdout
	if p.TTY != nil {
		in, output = p.TTY, p.TTY
	}
	copies.Go(func() { feed(in, stdin, p.TTY == nil) })
	copies.Go(func() { drain(&out, output) })
	if p.Stderr != nil {
		copies.Go(func() { drain(&errs, p.Stderr) })
	}
	code, err := p.Wait(context.WithoutCancel(ctx)) // killed above when ctx ends
	p.closeInput()
	p.expectEnd()
	copies.Wait()
	p.closeOutput()
	a = execAnswer{ExitCode: code, Stdout: out.String(), Stderr: errs.String(), Truncated: out.over || errs.over}
	return a, errors.Join(err, context.Cause(ctx))
}

// feed writes all of stdin; a process that does not read it to its end is its own business.
func feed(w *os.File, stdin string, end bool) {
	_, _ = io.WriteString(w, stdin)
	if end {
		_ = w.Close()
	}
}

// drain reads until nobody can write any more. A terminal says so with EIO.
func drain(w io.Writer, r io.Reader) { _, _ = io.Copy(w, r) }

func (p *Process) closeInput() {
	if p.Stdin != nil {
		_ = p.Stdin.Close() // may be closed already
	}
}

// expectEnd lets readers of the output go on to its end, but not wait for programs that the process left behind with it.
func (p *Process) expectEnd() {
	deadline := time.Now().Add(drainTime)
	for _, f := range []*os.File{p.TTY, p.Stdout, p.Stderr} {
		if f != nil {
			_ = f.SetReadDeadline(deadline) // pipes and terminals have deadlines
		}
	}
}

func (p *Process) closeOutput() {
	for _, f := range []*os.File{p.TTY, p.Stdout, p.Stderr} {
		if f != nil {
			_ = f.Close() // read to its end
		}
	}
}

// capped keeps the first maxOutput bytes.
type capped struct {
	bytes.Buffer
	over bool
}

func (c *capped) Write(b []byte) (int, error) {
	if room := maxOutput - c.Len(); len(b) > room {
		c.over = true
		_, _ = c.Buffer.Write(b[:room]) // never fails
		return len(b), nil
	}
	return c.Buffer.Write(b)
}
