package execstream_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"berth/terminal"
	"berth/terminal/execstream"
)

func shell(script string) execstream.Request {
	return execstream.Request{Cmd: []string{"sh", "-c", script}}
}

// run runs a request to its end.
func run(t *testing.T, url string, r execstream.Request, stdin io.ReadCloser) (code int, stdout, stderr string, err error) {
	t.Helper()
	c, err := execstream.Dial(t.Context(), url, r, execstream.DialOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var out, errs bytes.Buffer
	code, err = c.Run(t.Context(), stdin, &out, &errs)
	return code, out.String(), errs.String(), err
}

func TestStreamsAndExitStatus(t *testing.T) {
	_, _, url := serve(t)
	r := shell(`cat; echo "$A $(pwd)" >&2; exit 7`)
	r.Env, r.Workdir = []string{"A=b c"}, "/usr"
	code, out, errs, err := run(t, url, r, io.NopCloser(strings.NewReader("piped")))
	if code != 7 || out != "piped" || errs != "b c /usr\n" || err != nil {
		t.Fatalf("got %d, %q, %q, %v", code, out, errs, err)
	}
	if code, _, _, err = run(t, url, shell("kill -KILL $$"), nil); code != 137 || err != nil {
		t.Fatalf("killed: got %d, %v", code, err)
	}
}

func TestShortOutputIsNeverLost(t *testing.T) {
	_, _, url := serve(t)
	for i := range 100 {
		if _, out, errs, err := run(t, url, shell("printf out; printf err >&2"), nil); out != "out" || errs != "err" || err != nil {
			t.Fatalf("run %d: got %q, %q, %v", i, out, errs, err)
		}
	}
}

func TestManyBytesBothWays(t *testing.T) {
	_, _, url := serve(t)
	data := make([]byte, 8<<20)
	for i := range data {
		data[i] = byte(rand.Uint32())
	}
	_, out, _, err := run(t, url, execstream.Request{Cmd: []string{"cat"}}, io.NopCloser(bytes.NewReader(data)))
	if err != nil || out != string(data) {
		t.Fatalf("%d bytes came back, %v", len(out), err)
	}
}

func TestProgramThatIgnoresItsInput(t *testing.T) {
	_, _, url := serve(t)
	code, out, _, err := run(t, url, shell("printf done; exit 3"), io.NopCloser(bytes.NewReader(make([]byte, 4<<20))))
	if code != 3 || out != "done" || err != nil {
		t.Fatalf("got %d, %q, %v", code, out, err)
	}
}

func TestBackgroundProcessDoesNotHoldTheEnd(t *testing.T) {
	_, _, url := serve(t)
	began := time.Now()
	code, out, _, err := run(t, url, shell("sleep 8 & printf done; exit 2"), nil)
	if code != 2 || out != "done" || err != nil || time.Since(began) > 4*time.Second {
		t.Fatalf("got %d, %q, %v after %s", code, out, err, time.Since(began))
	}
}

func TestTTY(t *testing.T) {
	_, _, url := serve(t)
	r := shell(`stty size; read x; stty size; trap 'exit 9' INT; echo ready; while :; do sleep 0.05; done`)
	r.TTY, r.Size = true, terminal.Size{Cols: 91, Rows: 17}
	c, err := execstream.Dial(t.Context(), url, r, execstream.DialOptions{})
	if err != nil {
		t.Fatal(err)
	}
	in, typist := io.Pipe()
	shown, screen := io.Pipe()
	go func() {
		all, buf := "", make([]byte, 100)
		await := func(text string) {
			for !strings.Contains(all, text) {
				n, err := shown.Read(buf)
				if err != nil {
					return
				}
				all += string(buf[:n])
			}
		}
		await("17 91")
		_ = c.Resize(terminal.Size{Cols: 55, Rows: 11})
		_, _ = typist.Write([]byte("go\n"))
		await("11 55")
		await("ready")
		_ = c.Signal("INT")
		_, _ = io.Copy(io.Discard, shown)
	}()
	code, err := c.Run(t.Context(), in, screen, io.Discard)
	_ = screen.Close()
	if code != 9 || err != nil {
		t.Fatalf("got %d, %v", code, err)
	}
	r = shell("cat")
	r.TTY = true
	if code, out, _, err := run(t, url, r, io.NopCloser(strings.NewReader("x\n"))); code != 0 || !strings.Contains(out, "x\r\n") || err != nil {
		t.Fatalf("end of input on a tty: got %d, %q, %v", code, out, err)
	}
}

func TestLeavingKillsTheProgram(t *testing.T) {
	r, h, url := serve(t)
	ended := func() error {
		if n := r.Running(); n != 0 {
			return fmt.Errorf("%d processes run", n)
		}
		return nil
	}
	ctx, cancel := context.WithCancel(t.Context())
	c, err := execstream.Dial(ctx, url, shell("sleep 60"), execstream.DialOptions{})
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	if _, err = c.Run(ctx, nil, io.Discard, io.Discard); !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v", err)
	}
	eventually(t, ended)
	// One that does not read its input, and one that floods, while the peer goes without a word.
	for _, script := range []string{"sleep 60", "yes"} {
		if c, err = execstream.Dial(t.Context(), url, shell(script), execstream.DialOptions{}); err != nil {
			t.Fatal(err)
		}
		eventually(t, func() error {
			if r.Running() == 0 {
				return errors.New("not started")
			}
			return nil
		})
		_ = c.Close()
		eventually(t, ended)
	}
	// The sandbox ends.
	if c, err = execstream.Dial(t.Context(), url, shell("sleep 60"), execstream.DialOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := h.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Run(t.Context(), nil, io.Discard, io.Discard); err == nil {
		t.Fatal("a killed program has ended well")
	}
	if _, err := execstream.Dial(t.Context(), url, shell("true"), execstream.DialOptions{}); err == nil {
		t.Fatal("a closed handler starts programs")
	}
}

func TestProgramThatIsNotThere(t *testing.T) {
	_, _, url := serve(t)
	_, _, _, err := run(t, url, execstream.Request{Cmd: []string{"no-such-program"}}, nil)
	if bad := (*execstream.ExecError)(nil); !errors.As(err, &bad) || bad.Code != 127 || !strings.Contains(bad.Message, "no-such-program") {
		t.Fatalf("got %v", err)
	}
	c := post(t, url, `{"cmd":["no-such-program"]}`, http.StatusOK)
	if c.ExitCode != 127 || !strings.Contains(c.Stderr, "no-such-program") {
		t.Fatalf("got %+v", c)
	}
}

func TestGarbage(t *testing.T) {
	r, _, url := serve(t)
	for name, message := range map[string]string{
		"empty": "", "unknown": "\x77", "control": "\x02{", "unknown control": "\x02" + `{"type":"x"}`,
		"signal": "\x02" + `{"type":"signal","signal":"KILLALL"}`, "size": "\x02" + `{"type":"resize","cols":0,"rows":9999}`,
		"input after its end": "\x01", "huge": "\x00" + strings.Repeat("x", 1<<20),
	} {
		dialer := websocket.Dialer{Subprotocols: []string{execstream.Subprotocol}}
		conn, _, err := dialer.Dial("ws"+strings.TrimPrefix(url, "http")+"?cmd=sleep&cmd=60", nil)
		if err != nil {
			t.Fatal(err)
		}
		_ = conn.WriteMessage(websocket.BinaryMessage, []byte(message))
		_ = conn.WriteMessage(websocket.BinaryMessage, []byte(message))
		_ = conn.SetReadDeadline(time.Now().Add(patience))
		if _, _, err = conn.ReadMessage(); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%s: connection goes on, %v", name, err)
		}
		_ = conn.Close()
	}
	eventually(t, func() error {
		if n := r.Running(); n != 0 {
			return fmt.Errorf("%d processes run", n)
		}
		return nil
	})
}

// TestFarewellIsText: what is told of a bad message is cut between characters, or the peer sees an error of ours instead.
func TestFarewellIsText(t *testing.T) {
	_, _, url := serve(t)
	dialer := websocket.Dialer{Subprotocols: []string{execstream.Subprotocol}}
	conn, _, err := dialer.Dial("ws"+strings.TrimPrefix(url, "http")+"?cmd=sleep&cmd=60", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	_ = conn.WriteMessage(websocket.BinaryMessage, []byte("\x02"+`{"type":"`+strings.Repeat("\U0001f37f", 40)+`"}`))
	_ = conn.SetReadDeadline(time.Now().Add(patience))
	if _, _, err := conn.ReadMessage(); !websocket.IsCloseError(err, websocket.CloseProtocolError) {
		t.Errorf("it is closed with %v", err)
	}
}

// TestOutcomeThatIsNoExitStatus: of an exit status the kernel keeps 8 bits, and a failure must not become success.
func TestOutcomeThatIsNoExitStatus(t *testing.T) {
	for _, s := range []string{`{"exit_code":256}`, `{"exit_code":-256}`, `{"error":"no","exit_code":512}`} {
		if code, err := execstream.Result([]byte(s)); !errors.Is(err, execstream.ErrFrame) {
			t.Errorf("%s: %d, %v", s, code, err)
		}
	}
	for _, s := range []string{`{"error":"no","exit_code":0}`, `{"error":"no"}`, `{}`} {
		code, err := execstream.Result([]byte(s))
		if refused := (*execstream.ExecError)(nil); !errors.As(err, &refused) || refused.Code != 126 || code != 126 {
			t.Errorf("%s: %d, %v", s, code, err)
		}
	}
}

func post(t *testing.T, url, body string, want int) (c execstream.Collected) {
	t.Helper()
	answer, err := http.Post(url, "application/json", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	all, _ := io.ReadAll(answer.Body)
	if answer.StatusCode != want {
		t.Fatalf("%.60s: got %d %s, want %d", body, answer.StatusCode, all, want)
	}
	if want == http.StatusOK {
		if err := json.Unmarshal(all, &c); err != nil {
			t.Fatal(err)
		}
	}
	return c
}

func TestCollected(t *testing.T) {
	r, _, url := serve(t)
	c := post(t, url, `{"cmd":["sh","-c","cat; echo no >&2; exit 4"],"stdin":"in","env":["A=1"]}`, http.StatusOK)
	if c != (execstream.Collected{ExitCode: 4, Stdout: "in", Stderr: "no\n"}) {
		t.Fatalf("got %+v", c)
	}
	c = post(t, url, `{"cmd":["sh","-c","tty >/dev/null && echo tty; cat"],"stdin":"x\n","tty":true}`, http.StatusOK)
	if !strings.Contains(c.Stdout, "tty\r\n") || c.ExitCode != 0 {
		t.Fatalf("got %+v", c)
	}
	c = post(t, url, `{"cmd":["head","-c","6000000","/dev/zero"]}`, http.StatusOK)
	if len(c.Stdout) != execstream.MaxOutput || !c.Truncated {
		t.Fatalf("kept %d bytes, truncated %v", len(c.Stdout), c.Truncated)
	}
	post(t, url, `{"cmd":[]}`, http.StatusBadRequest)
	post(t, url, `{"cmd":`, http.StatusBadRequest)
	post(t, url, `{"cmd":["x"],"stdin":"`+strings.Repeat("x", execstream.MaxBody)+`"}`, http.StatusRequestEntityTooLarge)
	ctx, cancel := context.WithCancel(t.Context())
	req, _ := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(`{"cmd":["sleep","60"]}`))
	done := make(chan error, 1)
	go func() {
		_, err := http.DefaultClient.Do(req) // there is no body
		done <- err
	}()
	eventually(t, func() error {
		if r.Running() == 0 {
			return errors.New("not started")
		}
		return nil
	})
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	eventually(t, func() error {
		if n := r.Running(); n != 0 {
			return fmt.Errorf("%d processes run", n)
		}
		return nil
	})
}
