package api

import (
	"bufio"
	"io"
	"net"
	"net/http"
)

// answering notes whether an answer has begun.
type answering struct {
	http.ResponseWriter
	begun bool
}

func (a *answering) WriteHeader(status int) {
	a.begun = a.begun || status >= http.StatusOK
	a.ResponseWriter.WriteHeader(status)
}

func (a *answering) Write(b []byte) (int, error) {
	a.begun = true
	return a.ResponseWriter.Write(b)
}

// ReadFrom lets the kernel send files: sendfile(2).
func (a *answering) ReadFrom(r io.Reader) (int64, error) {
	a.begun = true
	return io.Copy(a.ResponseWriter, r)
}

// Hijack hands the connection over: websockets ask for it by this interface.
func (a *answering) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	a.begun = true
	return http.NewResponseController(a.ResponseWriter).Hijack()
}

// Flush sends what there is: streams ask for it by this interface.
func (a *answering) Flush() {
	a.begun = true
	_ = http.NewResponseController(a.ResponseWriter).Flush() // not supported, or the client has gone: nobody to tell
}

// Unwrap is for http.ResponseController.
func (a *answering) Unwrap() http.ResponseWriter { return a.ResponseWriter }
