package build

import (
	"fmt"

	"github.com/containerd/errdefs"
)

// classified is an error with a class for its status, of which its message says nothing.
type classified struct {
	message string
	class   error
}

func (e *classified) Error() string { return e.message }

func (e *classified) Unwrap() error { return e.class }

func invalid(format string, args ...any) error {
	return &classified{fmt.Sprintf(format, args...), errdefs.ErrInvalidArgument}
}
