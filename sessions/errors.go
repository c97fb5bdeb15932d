package sessions

import (
	"errors"
	"time"
)

// Errors that callers decide on. Each wraps or is one of these; the sentence for the visitor is in Error.
var (
	ErrNotFound           = errors.New("no such session")
	ErrUnknownEnvironment = errors.New("no such environment")
	ErrTooMany            = errors.New("too many sessions")
	ErrQueueFull          = errors.New("queue is full")
	ErrCannotExtend       = errors.New("the session cannot be extended further")
	ErrInvalid            = errors.New("invalid request")
	ErrNotReady           = errors.New("the session is not ready")
	ErrEnded              = errors.New("the session has ended")
	ErrUnavailable        = errors.New("sessions cannot be created now")
)

// Error is an error with a sentence for the visitor that says what to do. Err is one of the errors above, wrapped or not.
type Error struct {
	Err        error
	Message    string
	RetryAfter time.Duration // 0: not worth trying again by itself
}

func (e *Error) Error() string { return e.Message }
func (e *Error) Unwrap() error { return e.Err }
