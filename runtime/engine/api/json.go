package api

import (
	"encoding/json"
	"net/http"
	"strings"

	"github.com/containerd/errdefs"
)

// answer encodes the whole answer before it writes that all is well.
func answer(w http.ResponseWriter, v any) { answerWith(w, http.StatusOK, v) }

// problem writes an RFC 9457 problem document.
func problem(w http.ResponseWriter, status int, detail string) {
	b, _ := json.Marshal(map[string]any{"title": http.StatusText(status), "status": status, "detail": detail}) // cannot fail
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	_, _ = w.Write(append(b, '\n'))
}

// answerWith is answer with another status.
func answerWith(w http.ResponseWriter, status int, v any) {
	b, err := json.Marshal(v)
	if err != nil {
		problem(w, http.StatusInternalServerError, err.Error())
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(append(b, '\n')) // the client has gone: nobody to tell
}

// said is an error as a visitor reads it: without the class that it ends with.
func said(err error) string {
	text := err.Error()
	for _, class := range []error{
		errdefs.ErrInvalidArgument, errdefs.ErrNotFound, errdefs.ErrConflict, errdefs.ErrResourceExhausted, errdefs.ErrAlreadyExists,
	} {
		text = strings.TrimSuffix(text, ": "+class.Error())
	}
	return text
}
