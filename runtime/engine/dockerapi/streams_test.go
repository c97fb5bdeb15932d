package dockerapi_test

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"github.com/gorilla/websocket"
	"github.com/moby/moby/api/pkg/stdcopy"
	"github.com/moby/moby/client"

	"berth/runtime/engine/dockerapi"
)

// all attaches everything.
func all() client.ContainerAttachOptions {
	return client.ContainerAttachOptions{Stream: true, Stdin: true, Stdout: true, Stderr: true}
}

// output reads a multiplexed stream to its end.
func output(t *testing.T, r io.Reader) (stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	if _, err := stdcopy.StdCopy(&out, &errs, r); err != nil {
		t.Error(err)
	}
	return out.String(), errs.String()
}

// TestAttachBeforeTheStartGetsAll checks both outputs, their order of streams, and the answer's type.
func TestAttachBeforeTheStartGetsAll(t *testing.T) {
	b := newBox(t, &box{openStdin: true})
	c, _ := daemon(t, boxes{boxes: map[string]*box{"one": b}})
	a, err := c.ContainerAttach(t.Context(), "one", all())
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	if kind, ok := a.MediaType(); !ok || kind != "application/vnd.docker.multiplexed-stream" {
		t.Errorf("type %q", kind)
	}
	if err := b.start("sh", "-c", "cat; echo warning >&2"); err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(a.Conn, "hello")
	if err := a.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if stdout, stderr := output(t, a.Reader); stdout != "hello" || stderr != "warning\n" {
		t.Errorf("%q and %q", stdout, stderr)
	}
}

// TestLargeInputComesBackThroughAttach sends 100 MB there and back.
func TestLargeInputComesBackThroughAttach(t *testing.T) {
	b := newBox(t, &box{openStdin: true})
	c, _ := daemon(t, boxes{boxes: map[string]*box{"one": b}, execs: map[string][]string{"one": {"cat"}}})
	a, err := c.ExecAttach(t.Context(), "one", client.ExecAttachOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	sent, got := sha256.New(), sha256.New()
	go func() {
		random := rand.NewChaCha8([32]byte{2})
		if _, err := io.Copy(a.Conn, io.TeeReader(io.LimitReader(random, 100e6), sent)); err != nil {
			t.Error(err)
		}
		_ = a.CloseWrite() // what is missing shows
	}()
	n, err := stdcopy.StdCopy(got, io.Discard, a.Reader)
	if err != nil || n != 100e6 || !bytes.Equal(sent.Sum(nil), got.Sum(nil)) {
		t.Errorf("%d bytes came back, %v", n, err)
	}
}

// TestInputThatNobodyReadsDoesNotCutOffOutput checks a process that ends while the client still sends.
func TestInputThatNobodyReadsDoesNotCutOffOutput(t *testing.T) {
	for range 20 {
		b := newBox(t, &box{openStdin: true})
		c, _ := daemon(t, boxes{boxes: map[string]*box{"one": b}, execs: map[string][]string{"one": {"echo", "bye"}}})
		a, err := c.ExecAttach(t.Context(), "one", client.ExecAttachOptions{})
		if err != nil {
			t.Fatal(err)
		}
		go func() { _, _ = a.Conn.Write(make([]byte, 1<<20)) }() // it ends with the connection
		if stdout, _ := output(t, a.Reader); stdout != "bye\n" {
			t.Errorf("%q", stdout)
		}
		a.Close()
	}
}

// TestTerminalIsRaw checks a terminal: no headers, a size from the beginning, and detach keys.
func TestTerminalIsRaw(t *testing.T) {
	b := newBox(t, &box{openStdin: true, tty: true})
	c, _ := daemon(t, boxes{
		boxes: map[string]*box{"one": b},
		execs: map[string][]string{"one": {"sh", "-c", "stty size; read line"}},
	})
	a, err := c.ExecAttach(t.Context(), "one", client.ExecAttachOptions{
		TTY: true, ConsoleSize: client.ConsoleSize{Height: 33, Width: 111},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	if kind, ok := a.MediaType(); !ok || kind != "application/vnd.docker.raw-stream" {
		t.Errorf("type %q", kind)
	}
	if line, err := a.Reader.ReadString('\n'); err != nil || line != "33 111\r\n" {
		t.Errorf("%q, %v", line, err)
	}
	if _, err := c.ExecResize(t.Context(), "one", client.ExecResizeOptions{Height: 10, Width: 20}); err != nil {
		t.Error(err)
	}
	fmt.Fprintf(a.Conn, "abc\x10")
	fmt.Fprintf(a.Conn, "\x11")
	if rest, err := io.ReadAll(a.Reader); err != nil || strings.ContainsRune(string(rest), '\x10') {
		t.Errorf("after the detach keys %q, %v", rest, err)
	}
	select {
	case <-b.ended:
		t.Error("detaching has ended the process")
	default:
	}
}

// TestClientsWithoutUpgradeGetAPlainStream checks the raw answer of both kinds of request, as curl and older clients see it.
func TestClientsWithoutUpgradeGetAPlainStream(t *testing.T) {
	for upgrade, want := range map[string]string{
		"": "HTTP/1.1 200 OK\r\n", "Connection: Upgrade\r\nUpgrade: tcp\r\n": "HTTP/1.1 101 UPGRADED\r\n",
	} {
		b := newBox(t, &box{})
		_, socket := daemon(t, boxes{boxes: map[string]*box{"one": b}})
		conn, err := net.Dial("unix", socket)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		fmt.Fprintf(conn, "POST /v1.41/containers/one/attach?stream=1&stdout=1 HTTP/1.1\r\nHost: docker\r\n%sContent-Length: 0\r\n\r\n", upgrade)
		r := bufio.NewReader(conn)
		if line, err := r.ReadString('\n'); err != nil || line != want {
			t.Errorf("%q, %v, want %q", line, err, want)
		}
		var header strings.Builder
		for line := ""; line != "\r\n"; {
			if line, err = r.ReadString('\n'); err != nil {
				t.Fatal(err)
			}
			header.WriteString(line)
		}
		if h := header.String(); !strings.Contains(h, "Content-Type: application/vnd.docker.raw-stream\r\n") ||
			strings.Contains(h, "Upgrade: tcp\r\n") != (upgrade != "") {
			t.Errorf("header %q", h)
		}
		if err := b.start("echo", "hi"); err != nil {
			t.Fatal(err)
		}
		if stdout, _ := output(t, r); stdout != "hi\n" {
			t.Errorf("%q", stdout)
		}
	}
}

// TestErrorsOfAttachHaveAStatus checks what is told before the connection is taken over.
func TestErrorsOfAttachHaveAStatus(t *testing.T) {
	paused := newBox(t, &box{refuse: fmt.Errorf("container two is paused: %w", errdefs.ErrConflict)})
	b := boxes{boxes: map[string]*box{"two": paused, "one": newBox(t, &box{})}}
	s := dockerapi.Streams[*box]{Manager: b}
	for target, want := range map[string]int{
		"POST /containers/none/attach":                        404,
		"POST /containers/two/attach?stream=1":                409,
		"POST /containers/one/attach?detachKeys=ctrl-1":       400,
		"GET /containers/one/attach/ws":                       400,
		"GET /containers/none/logs?stdout=1":                  404,
		"GET /containers/one/logs":                            400,
		"GET /containers/one/logs?stdout=1&since=now":         400,
		"POST /containers/one/resize?h=a&w=2":                 400,
		"POST /containers/one/resize?h=70000&w=2":             400,
		"POST /containers/one/resize?h=24&w=80":               200,
		"POST /exec/none/start":                               404,
		"POST /exec/none/resize?h=24&w=80":                    404,
		"GET /containers/one/logs?stdout=1&until=12.5&since=": 200,
	} {
		method, path, _ := strings.Cut(target, " ")
		if status, body, _ := ask(t, method, path, "", s); status != want {
			t.Errorf("%s: %d %s, want %d", target, status, body, want)
		}
	}
}

// TestCommandThatCannotStartIsSaidInTheStream checks what the docker command prints.
func TestCommandThatCannotStartIsSaidInTheStream(t *testing.T) {
	b := newBox(t, &box{})
	c, _ := daemon(t, boxes{boxes: map[string]*box{"one": b}, execs: map[string][]string{"one": {"/no/such/program"}}})
	a, err := c.ExecAttach(t.Context(), "one", client.ExecAttachOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	if stdout, _ := output(t, a.Reader); !strings.Contains(stdout, "no such file") || !strings.HasSuffix(stdout, "\r\n") {
		t.Errorf("%q", stdout)
	}
}

// TestDetachedExecAnswersAtOnce checks `docker exec -d`.
func TestDetachedExecAnswersAtOnce(t *testing.T) {
	b := newBox(t, &box{})
	c, _ := daemon(t, boxes{boxes: map[string]*box{"one": b}, execs: map[string][]string{"one": {"sleep", "1000"}}})
	if _, err := c.ExecStart(t.Context(), "one", client.ExecStartOptions{Detach: true}); err != nil {
		t.Error(err)
	}
}

// TestClientThatIsKilledIsNoticedAtOnce checks an idle process: nothing is written that would show it.
func TestClientThatIsKilledIsNoticedAtOnce(t *testing.T) {
	for _, stdin := range []bool{true, false} {
		left := make(chan struct{}, 1)
		b := newBox(t, &box{openStdin: true})
		c, _ := daemon(t, boxes{boxes: map[string]*box{"one": b}})
		o := all()
		o.Stdin = stdin
		b.left = left
		a, err := c.ContainerAttach(t.Context(), "one", o)
		if err != nil {
			t.Fatal(err)
		}
		if err := b.start("sleep", "1000"); err != nil {
			t.Fatal(err)
		}
		_ = a.Conn.Close()
		select {
		case <-left:
		case <-time.After(patience):
			t.Errorf("stdin %v: the engine holds a client that has gone", stdin)
		}
	}
}

// TestLogsAreSentAsDockerDoes checks streams, tail, timestamps, details, and following to the end.
func TestLogsAreSentAsDockerDoes(t *testing.T) {
	b := newBox(t, &box{})
	c, _ := daemon(t, boxes{boxes: map[string]*box{"one": b, "mute": newBox(t, &box{noLog: true})}})
	if err := b.start("sh", "-c", "echo one; sleep 0.3; echo two >&2; sleep 0.3; echo three"); err != nil {
		t.Fatal(err)
	}
	follower, err := c.ContainerLogs(t.Context(), "one", client.ContainerLogsOptions{ShowStdout: true, ShowStderr: true, Follow: true})
	if err != nil {
		t.Fatal(err)
	}
	defer follower.Close()
	first := make([]byte, 8+4)
	if _, err := io.ReadFull(follower, first); err != nil || string(first) != "\x01\x00\x00\x00\x00\x00\x00\x04one\n" {
		t.Errorf("a follower gets %q, %v", first, err)
	}
	if stdout, stderr := output(t, follower); stdout != "three\n" || stderr != "two\n" {
		t.Errorf("a follower gets %q and %q", stdout, stderr)
	}
	<-b.ended
	for _, tc := range []struct {
		o    client.ContainerLogsOptions
		want string
	}{
		{client.ContainerLogsOptions{ShowStdout: true, Tail: "all"}, "one\nthree\n|"},
		{client.ContainerLogsOptions{ShowStderr: true}, "|two\n"},
		{client.ContainerLogsOptions{ShowStdout: true, ShowStderr: true, Tail: "1"}, "three\n|"},
		{client.ContainerLogsOptions{ShowStdout: true, ShowStderr: true, Tail: "0", Follow: true}, "|"},
		{client.ContainerLogsOptions{ShowStdout: true, ShowStderr: true, Since: "4000000000.5"}, "|"},
		{client.ContainerLogsOptions{ShowStderr: true, Details: true}, "|tier=one two\n"},
	} {
		r, err := c.ContainerLogs(t.Context(), "one", tc.o)
		if err != nil {
			t.Fatal(err)
		}
		if stdout, stderr := output(t, r); stdout+"|"+stderr != tc.want {
			t.Errorf("%+v: %q|%q, want %q", tc.o, stdout, stderr, tc.want)
		}
		r.Close()
	}
	r, err := c.ContainerLogs(t.Context(), "one", client.ContainerLogsOptions{ShowStderr: true, Timestamps: true})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	_, stderr := output(t, r)
	stamp, rest, _ := strings.Cut(stderr, " ")
	if _, err := time.Parse(time.RFC3339Nano, stamp); err != nil || rest != "two\n" || len(stamp) != len("2006-01-02T15:04:05.000000000Z") {
		t.Errorf("with timestamps: %q, %v", stderr, err)
	}
	if _, err := c.ContainerLogs(t.Context(), "mute", client.ContainerLogsOptions{ShowStdout: true}); !errdefs.IsNotImplemented(err) {
		t.Errorf("a container without a log: %v", err)
	}
}

// TestWebsocketCarriesAContainer checks attach/ws: binary messages there and back, and its end.
func TestWebsocketCarriesAContainer(t *testing.T) {
	b := newBox(t, &box{openStdin: true})
	_, socket := daemon(t, boxes{boxes: map[string]*box{"one": b}})
	dialer := websocket.Dialer{NetDial: func(string, string) (net.Conn, error) { return net.Dial("unix", socket) }}
	url := "ws://docker/v1.51/containers/one/attach/ws?stream=1&stdin=1&stdout=1&stderr=1"
	ws, _, err := dialer.DialContext(t.Context(), url, http.Header{"Origin": {"http://elsewhere"}})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ws.Close() }()
	if err := b.start("sh", "-c", "read a; echo got $a; echo warning >&2"); err != nil {
		t.Fatal(err)
	}
	if err := ws.WriteMessage(websocket.TextMessage, []byte("hello\n")); err != nil {
		t.Fatal(err)
	}
	var got bytes.Buffer
	for {
		kind, p, err := ws.ReadMessage()
		if err != nil {
			if !websocket.IsCloseError(err, websocket.CloseNormalClosure) {
				t.Error(err)
			}
			break
		}
		if kind != websocket.BinaryMessage {
			t.Errorf("a message of kind %d", kind)
		}
		got.Write(p)
	}
	if s := got.String(); !strings.Contains(s, "got hello\n") || !strings.Contains(s, "warning\n") {
		t.Errorf("%q", s)
	}
}

// TestNoStreamIsLeftBehind counts goroutines and descriptors around attaches that end in all ways.
func TestNoStreamIsLeftBehind(t *testing.T) {
	run := func(c *client.Client, b *box) {
		a, errA := c.ContainerAttach(t.Context(), "one", all())
		killed, errB := c.ContainerAttach(t.Context(), "one", all())
		if err := errors.Join(errA, errB, b.start("echo", "hi")); err != nil {
			t.Fatal(err)
		}
		_ = killed.Conn.Close()
		output(t, a.Reader)
		a.Close()
		<-b.ended
	}
	set := boxes{boxes: map[string]*box{}}
	c, _ := daemon(t, set)
	count := func(n int) (goroutines, fds int) {
		for range n {
			b := newBox(t, &box{openStdin: true})
			set.boxes["one"] = b
			run(c, b)
		}
		deadline := time.After(patience)
		for stable := 0; stable < 5; { // connections of the client that are kept open, and handlers that end
			g, f := runtime.NumGoroutine(), openFiles(t)
			if g == goroutines && f == fds {
				stable++
			} else {
				goroutines, fds, stable = g, f, 0
			}
			select {
			case <-time.After(20 * time.Millisecond):
			case <-deadline:
				return
			}
		}
		return
	}
	g0, f0 := count(3)
	if g, f := count(20); g > g0 || f > f0 {
		t.Errorf("%d goroutines were %d, %d descriptors were %d", g, g0, f, f0)
	}
}

func openFiles(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}
