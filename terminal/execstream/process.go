package execstream

import (
	"context"
	"errors"
	"io"
	"net/url"

	"golang.org/x/sys/unix"

	"berth/terminal"
)

// Request says what to run.
type Request struct {
	Cmd     []string      // program and arguments; never empty
	Env     []string      // "A=b", beside the container's own
	Workdir string        // empty: the container's
	User    string        // empty: the container's
	TTY     bool          // a PTY for all of input, output and errors
	Size    terminal.Size // of the PTY; never zero where TTY is set
}

// Process is a program that runs. Its streams are the Handler's to close: closing Output and Errors interrupts reads.
// With a PTY, Input and Output are its master, and Errors is nil.
type Process interface {
	Input() io.WriteCloser
	Output() io.ReadCloser
	Errors() io.ReadCloser
	// Resize sets the PTY's size; without a PTY it does nothing.
	Resize(size terminal.Size) error
	// Signal sends a signal to the program; one that has ended is no error worth telling.
	Signal(sig unix.Signal) error
	// Wait returns when the program has ended. It is called once, and does not wait for the streams.
	Wait() terminal.Exit
}

// Start runs a program. ctx ends with the request; the process is ended by Signal, not by ctx. A *StartError is the
// asker's fault (no such program, user or directory), any other error is not.
type Start func(ctx context.Context, r Request) (Process, error)

// StartError says why a program cannot be started: the request asks for what is not there.
type StartError struct {
	Code int // as of a shell: 127 not found, 126 not executable
	Err  error
}

func (e *StartError) Error() string { return e.Err.Error() }
func (e *StartError) Unwrap() error { return e.Err }

// ErrRequest is wrapped by the errors of requests that make no sense.
var ErrRequest = errors.New("cannot run that")

func (r *Request) check() error {
	if len(r.Cmd) == 0 || r.Cmd[0] == "" {
		return errors.Join(ErrRequest, errors.New("cmd is empty: say what to run"))
	}
	if r.TTY && r.Size == (terminal.Size{}) {
		r.Size = terminal.DefaultSize
	}
	return nil
}

// requestOf reads a websocket's query.
func requestOf(q url.Values) (Request, error) {
	size, err := terminal.SizeFromQuery(q)
	if err != nil {
		return Request{}, errors.Join(ErrRequest, err)
	}
	r := Request{
		Cmd: q["cmd"], Env: q["env"], Workdir: q.Get("workdir"), User: q.Get("user"), Size: size,
		TTY: q.Get("tty") == "1" || q.Get("tty") == "true",
	}
	return r, r.check()
}

// Query is the inverse: what a client puts into the URL.
func (r Request) Query() url.Values {
	q := url.Values{"cmd": r.Cmd}
	if len(r.Env) > 0 {
		q["env"] = r.Env
	}
	if r.Workdir != "" {
		q.Set("workdir", r.Workdir)
	}
	if r.User != "" {
		q.Set("user", r.User)
	}
	if r.TTY {
		q.Set("tty", "1")
		if r.Size != (terminal.Size{}) {
			q.Set("cols", itoa(r.Size.Cols))
			q.Set("rows", itoa(r.Size.Rows))
		}
	}
	return q
}
