package api

import (
	"encoding/json"
	"errors"
	"io"
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
		errdefs.ErrFailedPrecondition, errdefs.ErrOutOfRange,
	} {
		if errors.Is(err, class) { // "invalid argument" is what a system call says, too
			text = strings.TrimSuffix(text, ": "+class.Error())
		}
	}
	return text
}

// maxDrained is how much of a body that is too large is read all the same, so that the client hears why: one whose connection
// breaks while it writes does not read the answer.
const maxDrained = 16 << 20

// readBody reads a body of at most that many bytes; of a longer one, tooLong says so.
func readBody(r *http.Request, most int64) (body []byte, tooLong bool, err error) {
	body, err = io.ReadAll(io.LimitReader(r.Body, most+1))
	if err != nil || int64(len(body)) <= most {
		return body, false, err
	}
	_, _ = io.Copy(io.Discard, io.LimitReader(r.Body, maxDrained)) // it is refused whatever happens
	return nil, true, nil
}
