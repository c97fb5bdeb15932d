package handlers

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"
	"time"

	"github.com/labstack/echo/v4"
)

// writeJSON encodes the whole answer before its first byte is sent, so that a failure is still a clean 500.
func writeJSON(c echo.Context, status int, contentType string, v any) error {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	if err := enc.Encode(v); err != nil {
		return fmt.Errorf("encode the answer: %w", err)
	}
	if c.Response().Header().Get("Cache-Control") == "" {
		c.Response().Header().Set("Cache-Control", "no-store")
	}
	return c.Blob(status, contentType, b.Bytes())
}

func answer(c echo.Context, status int, v any) error {
	return writeJSON(c, status, "application/json", v)
}

// readJSON decodes exactly one JSON object of known fields into v. An empty body leaves v as it is.
func readJSON(c echo.Context, v any) error {
	r := c.Request()
	arrived := limitBody(c, maxJSONBody)
	raw, err := io.ReadAll(r.Body)
	arrived()
	if err != nil {
		return unreadable(err)
	}
	if len(bytes.TrimSpace(raw)) == 0 {
		return nil
	}
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return refuse(http.StatusUnsupportedMediaType, "content-type", "Send the body as JSON, with the header Content-Type: application/json.")
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.DisallowUnknownFields()
	if err := dec.Decode(v); err != nil {
		return malformed(err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return refuse(http.StatusBadRequest, "malformed", "There is something after the JSON object. Send one object and nothing else.")
	}
	return nil
}

// limitBody bounds the body in bytes and in time. The function it returns takes the time limit away again: the server
// reads on in the background, and would take a late deadline for a client that has gone.
func limitBody(c echo.Context, most int64) (arrived func()) {
	w, r := c.Response(), c.Request()
	r.Body = http.MaxBytesReader(w, r.Body, most)
	// Not every writer has deadlines (tests' have none); the header timeout of the server holds anyway.
	rc := http.NewResponseController(w)
	_ = rc.SetReadDeadline(time.Now().Add(bodyReadTimeout))
	return func() { _ = rc.SetReadDeadline(time.Time{}) }
}

func unreadable(err error) error {
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return err
	}
	return &HTTPError{Status: http.StatusBadRequest, Code: "unreadable", Message: "The body did not arrive whole. Send it again.", Err: err}
}

func malformed(err error) error {
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	message := ""
	switch {
	case errors.As(err, &syntax):
		message = fmt.Sprintf("The body is not JSON: %v at byte %d.", syntax, syntax.Offset)
	case errors.As(err, &kind) && kind.Field != "":
		message = fmt.Sprintf("The field %q must be a %s, not a %s.", kind.Field, kind.Type, kind.Value)
	case errors.As(err, &kind):
		message = fmt.Sprintf("The body must be a JSON object, not a %s.", kind.Value)
	case errors.Is(err, io.ErrUnexpectedEOF):
		message = "The body is not JSON: it ends too early."
	default: // an unknown field: encoding/json has no type for it
		message = "The body is not what this address takes: " + strings.TrimPrefix(err.Error(), "json: ") + "."
	}
	return &HTTPError{Status: http.StatusBadRequest, Code: "malformed", Message: message, Err: err}
}
