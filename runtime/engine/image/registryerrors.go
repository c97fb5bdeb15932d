package image

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"syscall"

	"github.com/containerd/errdefs"
	"github.com/distribution/reference"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
)

// explainPull turns what a registry answers into Docker's sentences.
func explainPull(n reference.Named, err error) error {
	var answer *transport.Error
	if !errors.As(err, &answer) {
		return err
	}
	said := diagnosis(answer)
	switch answer.StatusCode {
	case http.StatusUnauthorized, http.StatusForbidden:
		if !hasCode(answer, transport.DeniedErrorCode) {
			said = "denied: requested access to the resource is denied"
		}
		return &classified{class: errdefs.ErrNotFound, cause: err, message: fmt.Sprintf(
			"pull access denied for %s, repository does not exist or may require 'docker login': %s", reference.FamiliarName(n), said)}
	case http.StatusNotFound:
		if hasCode(answer, transport.NameUnknownErrorCode) {
			return &classified{class: errdefs.ErrNotFound, cause: err, message: fmt.Sprintf(
				"repository %s not found: %s", reference.FamiliarName(n), said)}
		}
		return &classified{class: errdefs.ErrNotFound, cause: err, message: fmt.Sprintf(
			"manifest for %s not found: %s", reference.FamiliarString(n), said)}
	case http.StatusTooManyRequests:
		return &classified{class: errdefs.ErrResourceExhausted, cause: err, message: "toomanyrequests: " + strings.TrimPrefix(said, "toomanyrequests: ")}
	}
	return err
}

// explainPush is explainPull for the other direction.
func explainPush(err error) error {
	var answer *transport.Error
	if errors.As(err, &answer) {
		switch answer.StatusCode {
		case http.StatusUnauthorized, http.StatusForbidden:
			return &classified{class: errdefs.ErrPermissionDenied, cause: err, message: diagnosis(answer)}
		case http.StatusTooManyRequests:
			return &classified{class: errdefs.ErrResourceExhausted, cause: err, message: "toomanyrequests: " + diagnosis(answer)}
		}
	}
	return err
}

func hasCode(e *transport.Error, code transport.ErrorCode) bool {
	for _, d := range e.Errors {
		if d.Code == code {
			return true
		}
	}
	return false
}

// diagnosis is what the registry says, in Docker's form: "manifest unknown: manifest unknown".
func diagnosis(e *transport.Error) string {
	if len(e.Errors) == 0 {
		switch e.StatusCode {
		case http.StatusUnauthorized, http.StatusForbidden:
			return "denied: requested access to the resource is denied"
		case http.StatusNotFound:
			return "manifest unknown: manifest unknown"
		}
		return fmt.Sprintf("unexpected status from registry: %d %s", e.StatusCode, http.StatusText(e.StatusCode))
	}
	code := strings.ReplaceAll(strings.ToLower(string(e.Errors[0].Code)), "_", " ")
	return code + ": " + e.Errors[0].Message
}

// passing reports whether an error of a transfer may be gone the next time.
func passing(err error) bool {
	var network *net.OpError
	var answer *transport.Error
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, syscall.ENOSPC):
		return false
	case errors.As(err, &answer):
		return answer.StatusCode >= http.StatusInternalServerError
	case errors.Is(err, errUnexpectedEnd), errors.Is(err, errStalled), errors.Is(err, syscall.ECONNRESET), errors.As(err, &network):
		return true
	}
	return false
}
