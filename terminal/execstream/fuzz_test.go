package execstream_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"golang.org/x/sys/unix"

	"berth/terminal"
	"berth/terminal/execstream"
)

// sink is a program that says nothing, reads all its input, and ends with it or with a signal.
type sink struct {
	out   *io.PipeReader
	ended chan terminal.Exit
	once  sync.Once
	sizes chan<- terminal.Size
}

func (s *sink) Input() io.WriteCloser           { return s }
func (s *sink) Output() io.ReadCloser           { return s.out }
func (s *sink) Errors() io.ReadCloser           { return nil }
func (s *sink) Write(b []byte) (int, error)     { return len(b), nil }
func (s *sink) Close() error                    { return s.end(0) }
func (s *sink) Signal(sig unix.Signal) error    { return s.end(128 + int(sig)) }
func (s *sink) Wait() terminal.Exit             { return <-s.ended }
func (s *sink) Resize(size terminal.Size) error { s.sizes <- size; return nil }

func (s *sink) end(code int) error {
	s.once.Do(func() {
		s.ended <- terminal.Exit{Code: code}
		_ = s.out.Close()
	})
	return nil
}

// FuzzClientMessages sends two messages and the end of input. Either all is of the protocol and the outcome comes, or the
// peer is told what is not.
func FuzzClientMessages(f *testing.F) {
	for _, m := range [][2]string{
		{"\x00ls\n", "\x02" + `{"type":"resize","cols":80,"rows":24}`},
		{"\x02" + `{"type":"signal","signal":"INT"}`, "\x01"},
		{"\x02" + `{"type":"signal","signal":"SIGKILL"}`, ""},
		{"\x02" + `{"type":"resize","cols":0,"rows":1001}`, "\x00"},
		{"\x02" + `{"type":"` + strings.Repeat("\U0001f37f", 20) + `"}`, "\x03"},
		{"\x02{", "\x02null"},
	} {
		f.Add([]byte(m[0]), []byte(m[1]))
	}
	sizes := make(chan terminal.Size, 2)
	h := execstream.NewHandler(context.Background(), func(context.Context, execstream.Request) (execstream.Process, error) {
		out, _ := io.Pipe()
		return &sink{out: out, ended: make(chan terminal.Exit, 1), sizes: sizes}, nil
	}, nil)
	mux := http.NewServeMux()
	h.Routes(mux, "")
	socket := filepath.Join(f.TempDir(), "s") // not TCP: it runs out of ports that wait
	l, err := net.Listen("unix", socket)
	if err != nil {
		f.Fatal(err)
	}
	server := &httptest.Server{Listener: l, Config: &http.Server{Handler: mux}}
	server.Start()
	f.Cleanup(server.Close)
	dialer := websocket.Dialer{
		Subprotocols:   []string{execstream.Subprotocol},
		NetDialContext: func(context.Context, string, string) (net.Conn, error) { return net.Dial("unix", socket) },
	}
	f.Fuzz(func(t *testing.T, first, second []byte) {
		conn, _, err := dialer.DialContext(t.Context(), "ws://sandbox/exec?cmd=sink", nil)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close() }()
		for _, m := range [][]byte{first, second, {1}} {
			_ = conn.WriteMessage(websocket.BinaryMessage, m) // it may be closed already
		}
		_ = conn.SetReadDeadline(time.Now().Add(patience))
		var last []byte
		for {
			_, b, err := conn.ReadMessage()
			if err != nil {
				wantFarewell(t, last, err)
				break
			}
			last = b
		}
		for len(sizes) > 0 {
			if size := <-sizes; size.Validate() != nil {
				t.Errorf("the program's terminal got the size %+v", size)
			}
		}
	})
}

// wantFarewell checks how a connection ended whose last message this was.
func wantFarewell(t *testing.T, last []byte, err error) {
	t.Helper()
	var closed *websocket.CloseError
	if !errors.As(err, &closed) {
		t.Fatalf("the connection ends with %v", err)
	}
	switch closed.Code {
	case websocket.CloseNormalClosure:
		if len(last) == 0 || last[0] != 3 {
			t.Errorf("the last message is %q, not an outcome", last)
		} else if code, err := execstream.Result(last[1:]); err != nil {
			t.Errorf("the outcome is %d, %v", code, err)
		}
	case websocket.CloseProtocolError:
		if !strings.Contains(closed.Text, "not of berth.exec.v1") && !strings.Contains(closed.Text, "size out of range") {
			t.Errorf("it is closed with %q", closed.Text)
		}
	default:
		t.Errorf("it is closed with %v", closed)
	}
}

// FuzzControl: what is accepted is either a size or a signal, and one that there is.
func FuzzControl(f *testing.F) {
	for _, s := range []string{
		`{"type":"resize","cols":80,"rows":24}`, `{"type":"signal","signal":"SIGWINCH"}`, `{"type":"signal","signal":"SIG"}`,
		`{"type":"signal","cols":80,"rows":24}`, `{"type":"resize","cols":-1,"rows":1e9}`, `[]`, `null`, `{"TYPE":"resize"}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		size, sig, err := execstream.DecodeControl(b)
		switch {
		case errors.Is(err, execstream.ErrFrame), errors.Is(err, terminal.ErrSize):
		case err != nil:
			t.Errorf("%v wraps neither ErrFrame nor ErrSize", err)
		case sig != 0 && (size != terminal.Size{} || unix.SignalName(sig) == ""):
			t.Errorf("signal %d with size %+v", sig, size)
		case sig == 0 && size.Validate() != nil:
			t.Errorf("accepted, but %v", size.Validate())
		}
	})
}

// FuzzOutcome: the sandbox says how a program ended. It is the visitor's, and the answer becomes the exit status of
// `berth exec`: a failure must not be taken for success.
func FuzzOutcome(f *testing.F) {
	for _, s := range []string{
		`{"exit_code":7}`, `{"exit_code":0}`, `{"exit_code":256}`, `{"exit_code":-1}`, `{"error":"no","exit_code":127}`,
		`{"error":"no","exit_code":0}`, `{"error":"no"}`, `{}`, `null`, `{"exit_code":1e3}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		code, err := execstream.Result(b)
		var refused *execstream.ExecError
		switch {
		case errors.As(err, &refused):
			if refused.Code < 1 || refused.Code > 255 {
				t.Errorf("exit status %d for %v", refused.Code, err)
			}
		case err != nil:
			if !errors.Is(err, execstream.ErrFrame) {
				t.Errorf("%v does not wrap ErrFrame", err)
			}
		case code < 0 || code > 255:
			t.Errorf("exit status %d", code)
		}
	})
}
