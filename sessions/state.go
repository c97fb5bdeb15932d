package sessions

import "fmt"

// order is a state's place among the others; a session only moves to a later one.
func (s State) order() int {
	switch s {
	case Queued:
		return 1
	case Starting:
		return 2
	case Ready:
		return 3
	case Ending:
		return 4
	case Ended:
		return 5
	default:
		return 0
	}
}

// End is the cause with which a session's context ends: context.Cause returns it.
type End struct {
	Reason  Reason
	Message string // for the visitor
	Err     error  // for the operator's log; may be nil
}

func (e *End) Error() string {
	if e.Err != nil {
		return fmt.Sprintf("session ended (%s): %v", e.Reason, e.Err)
	}
	return fmt.Sprintf("session ended (%s)", e.Reason)
}

func (e *End) Unwrap() error { return e.Err }
