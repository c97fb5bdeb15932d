package dockerapi

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"
)

var errUnavailable = errdefs.ErrUnavailable // 503

// hidden classifies an error without a word of its own: Docker's messages are what clients print and compare.
type hidden struct{ class error }

func (hidden) Error() string   { return "" }
func (h hidden) Unwrap() error { return h.class }

// Invalid is an error for a request that cannot be: 400.
func Invalid(format string, args ...any) error {
	return fmt.Errorf("%w%w", fmt.Errorf(format, args...), hidden{errdefs.ErrInvalidArgument})
}

// Unsupported is an error for a field that this engine has no use for: it is refused by name, never ignored. 400.
func Unsupported(field string) error {
	return Invalid("%s is not supported in this playground: leave it out", field)
}

// statuses is the one table of kinds of errors and their HTTP status.
var statuses = []struct {
	is     func(error) bool
	status int
}{
	{errdefs.IsNotModified, http.StatusNotModified},
	{errdefs.IsNotFound, http.StatusNotFound},
	{errdefs.IsInvalidArgument, http.StatusBadRequest},
	{errdefs.IsConflict, http.StatusConflict},
	{errdefs.IsAlreadyExists, http.StatusConflict},
	{errdefs.IsFailedPrecondition, http.StatusConflict},
	{errdefs.IsUnauthorized, http.StatusUnauthorized},
	{errdefs.IsPermissionDenied, http.StatusForbidden},
	{errdefs.IsNotImplemented, http.StatusNotImplemented},
	{errdefs.IsUnavailable, http.StatusServiceUnavailable},
	{errdefs.IsResourceExhausted, http.StatusInternalServerError},
}

// StatusOf is the HTTP status for an error.
func StatusOf(err error) int {
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return http.StatusRequestEntityTooLarge
	}
	for _, s := range statuses {
		if s.is(err) {
			return s.status
		}
	}
	return http.StatusInternalServerError
}

// fail answers with an error, where no answer has begun.
func (r *Router) fail(w *writer, req *http.Request, err error) {
	if w.begun {
		r.log.Debug("stream ended early", "method", req.Method, "path", req.URL.Path, "error", err)
		return
	}
	status := StatusOf(err)
	if status >= http.StatusInternalServerError && !errors.Is(err, context.Canceled) && !errors.Is(err, unix.ENOSPC) {
		r.log.Error("docker api", "method", req.Method, "path", req.URL.Path, "error", err)
	}
	if status == http.StatusNotModified {
		w.WriteHeader(status)
		return
	}
	_ = Error(w, err) // the client has gone: nobody to tell
}
