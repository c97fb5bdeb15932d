package container

import (
	"bytes"
	"io"
	"os"
)

// launch is the outcome of a start by runc, for those who read the process's output meanwhile.
type launch struct {
	over   chan struct{} // closed when it is known
	failed bool          // valid when over is closed
}

func newLaunch() *launch { return &launch{over: make(chan struct{})} }

// end tells the outcome.
func (l *launch) end(err error) {
	l.failed = err != nil
	close(l.over)
}

// hushed is a process's standard error without what runc says there when the process cannot be started: that is the error
// of the start, and no output. Until the outcome is known, what begins as runc's words do is held back.
type hushed struct {
	*os.File
	launch *launch
}

// lastWords begin what runc says.
var lastWords = []byte("runc run failed: ")

func (h hushed) Read(p []byte) (int, error) {
	n, err := h.File.Read(p)
	if bytes.Contains(p[:n], lastWords) {
		if <-h.launch.over; h.launch.failed {
			return 0, io.EOF
		}
	}
	return n, err
}
