package unpack

import (
	"errors"
	"syscall"
)

// isEPIPE: the child closed its end. Why, its report says.
func isEPIPE(err error) bool { return errors.Is(err, syscall.EPIPE) }
