package build

import (
	"context"
	"errors"
	"io"
	"os"
	"sync"
	"time"

	bkexecutor "github.com/moby/buildkit/executor"
	"golang.org/x/sys/unix"

	"berth/runtime/engine/process"
)

// drainTimeout bounds the wait for the rest of the output after a process has ended: one that it left behind may hold the
// other end.
const drainTimeout = 2 * time.Second

// streams are those of one process: the pipes' ends that it gets, and ours.
type streams struct {
	files []*os.File // the process's: input, output, error; nil with a terminal
	ours  []*os.File
	input *os.File // ours, to write to
	pumps sync.WaitGroup
}

// openStreams makes the pipes of a process, none for one with a terminal.
func openStreams(p bkexecutor.ProcessInfo) (s *streams, err error) {
	s = &streams{}
	if p.Meta.Tty {
		return s, nil
	}
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	if err := s.addInput(p.Stdin != nil); err != nil {
		return nil, err
	}
	for _, w := range []io.Writer{p.Stdout, p.Stderr} {
		out, in, err := os.Pipe()
		if err != nil {
			return nil, err
		}
		s.files, s.ours = append(s.files, in), append(s.ours, out)
		if w == nil {
			w = io.Discard
		}
		s.pumps.Go(func() { pump(w, out) })
	}
	return s, nil
}

func (s *streams) addInput(wanted bool) error {
	if !wanted {
		null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
		s.files = append(s.files, null)
		return err
	}
	out, in, err := os.Pipe()
	if err != nil {
		return err
	}
	s.files, s.input = append(s.files, out), in
	return nil
}

// pump copies output to its end. A reader who has gone does not block the process: what it says then is lost.
func pump(to io.Writer, from io.Reader) {
	if _, err := io.Copy(to, from); err != nil {
		_, _ = io.Copy(io.Discard, from)
	}
}

// closeTheirs closes the process's ends, once it has them.
func (s *streams) closeTheirs() {
	for _, f := range s.files {
		if f != nil {
			_ = f.Close()
		}
	}
	s.files = nil
}

// close ends all streams and waits for the pumps. It may be called again.
func (s *streams) close() {
	s.closeTheirs()
	if s.input != nil {
		_ = s.input.Close()
	}
	for _, f := range s.ours {
		_ = f.Close()
	}
	s.pumps.Wait()
}

// attend serves a process until it has ended: its streams, its signals, its terminal's size. When ctx ends, so does the
// process.
func (s *streams) attend(ctx context.Context, proc *process.Process, master *os.File, p bkexecutor.ProcessInfo) (process.Status, error) {
	s.closeTheirs()
	var serving sync.WaitGroup
	defer serving.Wait()
	if c, ok := p.Stdout.(Console); ok && master != nil {
		c.Attach(proc, master)
	} else if master != nil {
		s.ours = append(s.ours, master)
		s.input = master
		if p.Stdout != nil {
			s.pumps.Go(func() { pump(p.Stdout, master) })
		} else {
			s.pumps.Go(func() { pump(io.Discard, master) })
		}
	}
	if p.Stdin != nil && s.input != nil {
		go s.feed(p.Stdin, master != nil) // it ends with its source, which is the caller's to close
	}
	serving.Go(func() { steer(proc, master, p) })
	select {
	case <-proc.Done():
	case <-ctx.Done():
		_ = proc.Signal(unix.SIGKILL) // it may have ended by itself
		<-proc.Done()
		return proc.Status(), context.Cause(ctx)
	}
	s.drain()
	return proc.Status(), nil
}

// feed copies input. The end of it is told to a pipe; a terminal has no end.
func (s *streams) feed(from io.Reader, terminal bool) {
	input := s.input
	_, _ = io.Copy(input, from) // a process that reads no more
	if !terminal {
		_ = input.Close()
	}
}

// drain waits for the rest of the output.
func (s *streams) drain() {
	drained := make(chan struct{})
	go func() {
		s.pumps.Wait()
		close(drained)
	}()
	late := time.NewTimer(drainTimeout)
	defer late.Stop()
	select {
	case <-drained:
	case <-late.C:
		for _, f := range s.ours {
			_ = f.SetReadDeadline(time.Unix(1, 0)) // ends the pumps
		}
		<-drained
	}
}

// steer passes signals and sizes on while a process runs.
func steer(proc *process.Process, master *os.File, p bkexecutor.ProcessInfo) {
	signals, sizes := p.Signal, p.Resize
	for {
		select {
		case <-proc.Done():
			return
		case sig, ok := <-signals:
			if !ok {
				signals = nil
				continue
			}
			_ = proc.Signal(sig) // it may have ended
		case size, ok := <-sizes:
			if !ok {
				sizes = nil
				continue
			}
			_ = resize(master, size) // as above
		}
	}
}

func resize(master *os.File, size bkexecutor.WinSize) error {
	if master == nil {
		return nil
	}
	raw, err := master.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = raw.Control(func(fd uintptr) {
		failed = unix.IoctlSetWinsize(int(fd), unix.TIOCSWINSZ, &unix.Winsize{Row: uint16(size.Rows), Col: uint16(size.Cols)})
	})
	return errors.Join(err, failed)
}
