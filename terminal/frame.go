package terminal

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
)

// Subprotocol is the websocket subprotocol that both ends agree on.
const Subprotocol = "berth.terminal.v1"

// Limits of one message, in bytes.
const (
	maxOutput        = 32 << 10       // output bytes in one message
	headerBytes      = 1 + 8          // type and sequence number
	MaxClientMessage = 64<<10 + 9     // a client's message, header included
	maxServerMessage = 64 << 10 * 2   // what a client accepts from a server
	maxInputFrame    = 32 << 10       // input bytes that our client puts in one message
	maxErrorText     = maxOutput >> 2 // bytes of an error told to viewers
)

// Types of messages; each direction counts for itself.
const (
	frameData = 0x01 // output or input: u64, bytes
	frameJSON = 0x02 // status or control
	frameAck  = 0x03 // u64
)

// ErrFrame is wrapped by every error of a message that is not of the protocol.
var ErrFrame = errors.New("not of " + Subprotocol)

// ServerFrame is one message of the server: output (Data), a status, or how much input was applied (Seq alone).
type ServerFrame struct {
	Data   []byte  // output; aliases the message
	Seq    uint64  // of Data's first byte; or the input offset applied
	Status *Status // nil: output or acknowledgement
	Ack    bool
}

// ClientFrame is one message of a client: input (Data), a control, or what it has parsed (Seq alone).
type ClientFrame struct {
	Data    []byte // input; aliases the message
	Seq     uint64 // offset of Data's first byte; or the output parsed
	Control *Control
	Ack     bool
}

// Control is what a client asks.
type Control struct {
	Type string `json:"type"` // "resize" or "restart"
	Cols int    `json:"cols,omitempty"`
	Rows int    `json:"rows,omitempty"`
}

// DecodeClient reads one message of a client. Errors wrap ErrFrame.
func DecodeClient(b []byte) (ClientFrame, error) {
	typ, seq, rest, err := split(b)
	switch {
	case err != nil:
		return ClientFrame{}, err
	case typ == frameData:
		return ClientFrame{Data: rest, Seq: seq}, nil
	case typ == frameAck:
		return ClientFrame{Seq: seq, Ack: true}, nil
	}
	var c Control
	if err := json.Unmarshal(rest, &c); err != nil {
		return ClientFrame{}, fmt.Errorf("%w: control is not JSON", ErrFrame)
	}
	if c.Type != "resize" && c.Type != "restart" {
		return ClientFrame{}, fmt.Errorf("%w: unknown control %.20q", ErrFrame, c.Type)
	}
	return ClientFrame{Control: &c}, nil
}

// DecodeServer reads one message of a server. Errors wrap ErrFrame.
func DecodeServer(b []byte) (ServerFrame, error) {
	typ, seq, rest, err := split(b)
	switch {
	case err != nil:
		return ServerFrame{}, err
	case typ == frameData:
		return ServerFrame{Data: rest, Seq: seq}, nil
	case typ == frameAck:
		return ServerFrame{Seq: seq, Ack: true}, nil
	}
	var s Status
	if err := json.Unmarshal(rest, &s); err != nil {
		return ServerFrame{}, fmt.Errorf("%w: status is not JSON", ErrFrame)
	}
	return ServerFrame{Status: &s}, nil
}

func split(b []byte) (typ byte, seq uint64, rest []byte, err error) {
	if len(b) == 0 {
		return 0, 0, nil, fmt.Errorf("%w: empty message", ErrFrame)
	}
	typ, rest = b[0], b[1:]
	switch typ {
	case frameJSON:
		return typ, 0, rest, nil
	case frameData, frameAck:
		if len(rest) < 8 || typ == frameAck && len(rest) != 8 {
			return 0, 0, nil, fmt.Errorf("%w: message of type %#02x with %d bytes", ErrFrame, typ, len(rest))
		}
		return typ, binary.BigEndian.Uint64(rest), rest[8:], nil
	default:
		return 0, 0, nil, fmt.Errorf("%w: unknown message type %#02x", ErrFrame, typ)
	}
}

// appendHeader appends the type and sequence number of a data or acknowledgement message.
func appendHeader(b []byte, typ byte, seq uint64) []byte {
	return binary.BigEndian.AppendUint64(append(b, typ), seq)
}

// appendJSON appends a status or control message. v is one of ours and always encodes.
func appendJSON(b []byte, v any) []byte {
	text, err := json.Marshal(v)
	if err != nil {
		panic("terminal: " + err.Error())
	}
	return append(append(b, frameJSON), text...)
}
