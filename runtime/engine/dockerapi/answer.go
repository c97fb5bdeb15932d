package dockerapi

import (
	"bufio"
	"encoding/json"
	"io"
	"net"
	"net/http"

	"github.com/moby/moby/api/types/common"
)

// JSON answers with a value. It is encoded whole before the status is written.
func JSON(w http.ResponseWriter, status int, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, err = w.Write(append(b, '\n'))
	return err
}

// Error answers with an error of who cannot even begin to handle the request.
func Error(w http.ResponseWriter, err error) error {
	return JSON(w, StatusOf(err), common.ErrorResponse{Message: err.Error()})
}

// Stream is an answer of JSON values, one after the other, each sent at once. Nothing is written before the first, so
// that an error until then still gets its status.
type Stream struct {
	w   http.ResponseWriter
	enc *json.Encoder
}

// NewStream begins a stream on w.
func NewStream(w http.ResponseWriter) *Stream { return &Stream{w: w, enc: json.NewEncoder(w)} }

// Send writes one value.
func (s *Stream) Send(v any) error {
	s.w.Header().Set("Content-Type", "application/json")
	if err := s.enc.Encode(v); err != nil {
		return err
	}
	return http.NewResponseController(s.w).Flush()
}

// writer notes whether an answer has begun.
type writer struct {
	http.ResponseWriter
	begun bool
}

func (w *writer) WriteHeader(status int) {
	w.begun = w.begun || status >= http.StatusOK
	w.ResponseWriter.WriteHeader(status)
}

func (w *writer) Write(b []byte) (int, error) {
	w.begun = true
	return w.ResponseWriter.Write(b)
}

// ReadFrom lets the kernel send files: sendfile(2).
func (w *writer) ReadFrom(r io.Reader) (int64, error) {
	w.begun = true
	return io.Copy(w.ResponseWriter, r)
}

// Hijack hands the connection over, for attach, exec and the builder.
func (w *writer) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	w.begun = true
	return http.NewResponseController(w.ResponseWriter).Hijack()
}

// Flush sends what there is.
func (w *writer) Flush() {
	w.begun = true
	_ = http.NewResponseController(w.ResponseWriter).Flush() // not supported, or the client has gone
}

// Unwrap is for http.ResponseController.
func (w *writer) Unwrap() http.ResponseWriter { return w.ResponseWriter }
