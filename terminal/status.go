package terminal

import "encoding/json"

// StatusType names a kind of Status.
type StatusType string

// The kinds of status.
const (
	Hello   StatusType = "hello"   // first of all: From, Next, Input, Cols, Rows, Running
	Gap     StatusType = "gap"     // bytes From up to To are no longer held
	Exited  StatusType = "exit"    // the program ended, all it wrote was sent: Code, Signal
	Started StatusType = "started" // a program was started again
	Resized StatusType = "resize"  // the terminal has a new size: Cols, Rows
	Failed  StatusType = "error"   // Message says what could not be done
)

// Status is what a server tells beside output. Type says which fields are set.
type Status struct {
	Type    StatusType `json:"type"`
	From    uint64     `json:"from"`  // hello: sequence number of the first byte that comes; gap
	Next    uint64     `json:"next"`  // hello: sequence number of the next byte the program writes
	Input   uint64     `json:"input"` // hello: offset of this client's input that was applied
	To      uint64     `json:"to"`    // gap
	Cols    int        `json:"cols"`
	Rows    int        `json:"rows"`
	Running bool       `json:"running"`
	Code    int        `json:"code"`
	Signal  string     `json:"signal"`
	Message string     `json:"message"`
}

// MarshalJSON writes the fields that belong to the type, and only these.
func (s Status) MarshalJSON() ([]byte, error) {
	m := map[string]any{"type": s.Type}
	switch s.Type {
	case Hello:
		m["from"], m["next"], m["input"] = s.From, s.Next, s.Input
		m["cols"], m["rows"], m["running"] = s.Cols, s.Rows, s.Running
	case Gap:
		m["from"], m["to"] = s.From, s.To
	case Exited:
		m["code"], m["signal"] = s.Code, s.Signal
	case Resized:
		m["cols"], m["rows"] = s.Cols, s.Rows
	case Failed:
		m["message"] = s.Message
	case Started:
	}
	return json.Marshal(m)
}
