package execstream

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"golang.org/x/sys/unix"

	"berth/terminal"
)

// Subprotocol is the websocket subprotocol that both ends agree on.
const Subprotocol = "berth.exec.v1"

// Types of messages; each direction counts for itself.
const (
	frameStdin    = 0x00
	frameStdinEnd = 0x01
	frameControl  = 0x02

	frameStdout = 0x01
	frameStderr = 0x02
	frameResult = 0x03
)

// Limits of one message, in bytes.
const (
	maxClientMessage = 64<<10 + 1
	maxServerMessage = 64<<10 + 1
	maxChunk         = 32 << 10
)

// ErrFrame is wrapped by every error of a message that is not of the protocol.
var ErrFrame = errors.New("not of " + Subprotocol)

// control is what a client asks beside input.
type control struct {
	Type   string `json:"type"` // "resize" or "signal"
	Cols   int    `json:"cols,omitempty"`
	Rows   int    `json:"rows,omitempty"`
	Signal string `json:"signal,omitempty"` // "INT" or "SIGINT"
}

// outcome is how it ended: the last message.
type outcome struct {
	ExitCode *int   `json:"exit_code,omitempty"`
	Error    string `json:"error,omitempty"`
}

// decodeControl reads a control; it returns either a size or a signal.
func decodeControl(b []byte) (size terminal.Size, sig unix.Signal, err error) {
	var c control
	if err := json.Unmarshal(b, &c); err != nil {
		return size, 0, fmt.Errorf("%w: control is not JSON", ErrFrame)
	}
	switch c.Type {
	case "resize":
		size = terminal.Size{Cols: c.Cols, Rows: c.Rows}
		return size, 0, size.Validate()
	case "signal":
		sig, err = ParseSignal(c.Signal)
		return size, sig, err
	}
	return size, 0, fmt.Errorf("%w: unknown control %.20q", ErrFrame, c.Type)
}

// ParseSignal reads a signal's name, with or without SIG.
func ParseSignal(name string) (unix.Signal, error) {
	for _, n := range []string{name, "SIG" + name} {
		if sig := unix.SignalNum(n); sig != 0 {
			return sig, nil
		}
	}
	return 0, fmt.Errorf("%w: unknown signal %.20q", ErrFrame, name)
}

// frame returns a message of a type and JSON; v is one of ours and always encodes.
func frame(typ byte, v any) []byte {
	text, err := json.Marshal(v)
	if err != nil {
		panic("execstream: " + err.Error())
	}
	return append([]byte{typ}, text...)
}

func itoa(n int) string { return strconv.Itoa(n) }
