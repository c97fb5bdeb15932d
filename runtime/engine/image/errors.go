package image

import (
	"fmt"

	"github.com/containerd/errdefs"
)

// classified is an error with a message that is Docker's own, and a class for its status.
type classified struct {
	message string
	class   error
	cause   error
}

func (e *classified) Error() string { return e.message }

func (e *classified) Unwrap() []error {
	if e.cause == nil {
		return []error{e.class}
	}
	return []error{e.class, e.cause}
}

func notFound(format string, args ...any) error {
	return &classified{message: fmt.Sprintf(format, args...), class: errdefs.ErrNotFound}
}

func invalid(format string, args ...any) error {
	return &classified{message: fmt.Sprintf(format, args...), class: errdefs.ErrInvalidArgument}
}

func conflict(format string, args ...any) error {
	return &classified{message: fmt.Sprintf(format, args...), class: errdefs.ErrConflict}
}
