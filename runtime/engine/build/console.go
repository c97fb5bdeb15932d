package build

import (
	"io"
	"os"

	"berth/runtime/engine/process"
)

// Console is an output that takes a program's terminal over, instead of what is read from it: package watch opens terminals
// in steps so. The master is its to close.
type Console interface {
	io.Writer
	Attach(p *process.Process, master *os.File)
}
