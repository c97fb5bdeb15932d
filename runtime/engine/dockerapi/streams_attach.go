package dockerapi

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/moby/moby/api/types/container"

	"berth/runtime/engine/stdio"
)

// attach connects a client to a container's streams, from its next start on where it does not run.
func (s Streams[C]) attach(w http.ResponseWriter, r *http.Request) error {
	c, err := s.Manager.Get(Var(r, "name"))
	if err != nil {
		return err
	}
	keys, err := stdio.ParseDetachKeys(r.FormValue("detachKeys"))
	if err != nil {
		return err
	}
	o := stdio.AttachOptions{DetachKeys: keys, Replay: Flag(r, "logs"), NoStream: !Flag(r, "stream")}
	multiplexed := !c.TTY()
	conn := newHijacked(Flag(r, "stdin") && !o.NoStream)
	stdout, stderr, _ := split(conn, multiplexed)
	if Flag(r, "stdout") {
		o.Stdout = stdout
	}
	if Flag(r, "stderr") {
		o.Stderr = stderr
	}
	connect(&o, conn, Flag(r, "stdin"), func() { conn.open(w, r, streamType(multiplexed, VersionOf(r))) })
	defer conn.Close()
	err = c.Attach(r.Context(), o)
	if !conn.opened() {
		return err
	}
	if err != nil && !errors.Is(err, stdio.ErrDetached) {
		s.Log.Debug("an attached client has left", "container", Var(r, "name"), "error", err)
	}
	return nil
}

// connect wires a connection to what a hub wants of a client.
func connect(o *stdio.AttachOptions, conn *hijacked, stdin bool, open func()) {
	if stdin {
		o.Stdin, o.StdinDone = conn, conn.endInput
	}
	o.Ready, o.Gone, o.Interrupt = open, conn.gone, conn.interrupt
}

// execStart starts a command that was created, with the client's streams or without.
func (s Streams[C]) execStart(w http.ResponseWriter, r *http.Request) error {
	var request container.ExecStartRequest
	if err := Decode(w, r, &request); err != nil {
		return err
	}
	if !request.Tty || less(VersionOf(r), multiplexedSince) {
		request.ConsoleSize = nil
	}
	id := Var(r, "id")
	if request.Detach {
		return s.Manager.ExecStart(r.Context(), id, request.ConsoleSize, nil)
	}
	conn := newHijacked(true)
	stdout, stderr, _ := split(conn, !request.Tty)
	o := stdio.AttachOptions{Stdout: stdout, Stderr: stderr}
	connect(&o, conn, true, func() { conn.open(w, r, streamType(!request.Tty, VersionOf(r))) })
	defer conn.Close()
	err := s.Manager.ExecStart(r.Context(), id, request.ConsoleSize, &o)
	if !conn.opened() {
		return err
	}
	if err != nil && !errors.Is(err, stdio.ErrDetached) {
		conn.say(stdout, fmt.Sprintf("%v\r\n", err)) // clients print it, and ask for the exit code
	}
	return nil
}
