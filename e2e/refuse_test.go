package e2e_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"golang.org/x/sys/unix"

	"berth/sessions"
)

// refused runs a server that must not start, and returns what it says.
func (s *server) refused(args ...string) string {
	s.t.Helper()
	p := s.launch(args...)
	defer func() { _ = p.cmd.Process.Kill(); <-p.done }()
	select {
	case <-p.done:
	case <-time.After(patience):
		s.t.Errorf("serve %v does not end", args)
		return p.said()
	}
	if code := p.cmd.ProcessState.ExitCode(); code != 1 {
		s.t.Errorf("serve %v: exit %d, want 1", args, code)
	}
	return p.said()
}

func TestServersThatCannotStart(t *testing.T) {
	s := serve(t)
	held := fmt.Sprintf("in use by process %d", s.process.cmd.Process.Pid)
	if said := s.refused("--addr", "127.0.0.1:0"); !strings.Contains(said, held) || !strings.Contains(said, s.corner.DataDir) {
		t.Errorf("a second server on the same directories says %q", said)
	}
	other := t.TempDir()
	if said := s.refused("--addr", "127.0.0.1:0", "--data-dir", other); !strings.Contains(said, held) || !strings.Contains(said, s.corner.RunDir) {
		t.Errorf("a second server on the same run directory says %q", said)
	}
	closed := filepath.Join(t.TempDir(), "run") // go test's own directory is closed to others
	if said := s.refused("--addr", "127.0.0.1:0", "--data-dir", other, "--run-dir", closed); !strings.Contains(said, "chmod o+x") {
		t.Errorf("a run directory that no sandbox can reach: %q", said)
	}
	run := s.corner.RunDir + "-other"
	t.Cleanup(func() { must(t, os.RemoveAll(run)) })
	if said := s.refused("--data-dir", other, "--run-dir", run); !strings.Contains(said, "address already in use") {
		t.Errorf("a second server on the same port says %q", said)
	}
	broken := filepath.Join(other, "broken.yaml")
	must(t, os.WriteFile(broken, []byte("environments:\n  - name: x\n    memroy: 1\n"), 0o600))
	for _, test := range []struct{ flag, value, want string }{
		{"--runc", "/no/such/runc", "make build"},
		{"--docker-init", "/no/such/init", "make build"},
		{"--environments", "/no/such/file", "/no/such/file"},
		{"--environments", broken, "line 3"},
		{"--subnet", "over there", "100.64.0.0/16"},
		{"--data-dir", "/proc/berth", "/proc/berth"},
	} {
		args := []string{"--addr", "127.0.0.1:0", "--data-dir", other, "--run-dir", run, test.flag, test.value}
		if said := s.refused(args...); !strings.Contains(said, test.want) {
			t.Errorf("serve %s %s says %q, want %q", test.flag, test.value, said, test.want)
		}
	}
	if got := s.open("busybox").sh("echo lives").Stdout; got != "lives\n" {
		t.Errorf("the first server's session says %q", got)
	}
}

// TestFullDisk gives a server a file system of its own that is full before and after it starts.
func TestFullDisk(t *testing.T) {
	small := t.TempDir()
	mountSmall(t, small)
	full := filepath.Join(small, "full")
	s := newServerIn(t, small, environments)
	fill(t, full)
	if said := s.refused(); !strings.Contains(said, "no space left on device") {
		t.Errorf("a server on a full disk says %q", said)
	}
	must(t, os.Remove(full))
	s.process = s.launch()
	eventually(t, patience, func() error {
		if found := addressLine.FindStringSubmatch(s.process.said()); found != nil {
			s.url = strings.TrimSuffix(found[1], "/")
			return nil
		}
		return errors.New("no address")
	})
	fill(t, full)
	answer, err := http.Get(s.url + "/readyz")
	must(t, err)
	body, err := io.ReadAll(answer.Body)
	must(t, err)
	_ = answer.Body.Close()
	if answer.StatusCode != http.StatusServiceUnavailable || !strings.Contains(string(body), "disk may be full") {
		t.Errorf("readyz on a full disk: %s %s", answer.Status, body)
	}
	if got := s.berth(nil, "run", "busybox", "--", "true"); got.code != 1 || !strings.Contains(got.errs, "disk may be full") {
		t.Errorf("run on a full disk: %+v", got)
	}
	if left := s.corner.Remnants(t); len(left) > 0 {
		t.Errorf("left: %q", left)
	}
}

// mountSmall mounts a new file system, just large enough for a server to start.
func mountSmall(t *testing.T, dir string) {
	t.Helper()
	image := filepath.Join(t.TempDir(), "small.img")
	f, err := os.Create(image)
	must(t, err)
	must(t, f.Truncate(1400<<20))
	must(t, f.Close())
	for _, args := range [][]string{{"mkfs.ext4", "-q", "-m", "0", image}, {"mount", "-o", "loop", image, dir}} {
		if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%v: %v, %s", args, err, out)
		}
	}
	t.Cleanup(func() { must(t, unix.Unmount(dir, 0)) }) // and with it the loop device goes
}

// fill takes all that is left of a file system.
func fill(t *testing.T, path string) {
	t.Helper()
	f, err := os.Create(path)
	must(t, err)
	defer func() { _ = f.Close() }()
	offset := int64(0)
	for size := int64(1 << 30); size >= 4096; {
		switch err := unix.Fallocate(int(f.Fd()), 0, offset, size); {
		case err == nil:
			offset += size
		case errors.Is(err, unix.ENOSPC):
			size /= 2
		default:
			t.Fatal(err)
		}
	}
}

// TestBadRequests: each has the right status and a problem document that says what to do.
func TestBadRequests(t *testing.T) {
	s := serve(t)
	box, other := s.open("busybox"), s.open("busybox")
	own := "/api/v1/sessions/" + string(box.id)
	header := func(pairs ...string) http.Header {
		h := http.Header{"Content-Type": {"application/json"}}
		for i := 0; i < len(pairs); i += 2 {
			h.Set(pairs[i], pairs[i+1])
		}
		return h
	}
	owner := "Bearer " + box.token
	for _, test := range []struct {
		name, method, path, body string
		header                   http.Header
		status                   int
		code                     string
	}{
		{"unknown environment", "POST", "/api/v1/sessions", `{"environment":"plan9"}`, header(), 400, "unknown-environment"},
		{"lifetime", "POST", "/api/v1/sessions", `{"lifetime":"1000h"}`, header(), 400, "invalid"},
		{"malformed JSON", "POST", "/api/v1/sessions", `{"environment":`, header(), 400, "malformed"},
		{"unknown field", "POST", "/api/v1/sessions", `{"cpus":64}`, header(), 400, "malformed"},
		{"large body", "POST", "/api/v1/sessions", `{"environment":"` + strings.Repeat("x", 4<<20) + `"}`, header(), 413, "too-large"},
		{"foreign origin", "POST", "/api/v1/sessions", `{}`, header("Origin", "http://evil.example"), 403, "origin"},
		{"foreign host", "GET", "/api/v1/environments", "", header("Host", "evil.example"), 421, "host"},
		{"nobody", "GET", own, "", header(), 404, "not-found"},
		{"wrong token", "GET", own, "", header("Authorization", "Bearer WRONG"), 404, "not-found"},
		{"another's token", "GET", own, "", header("Authorization", "Bearer "+other.token), 404, "not-found"},
		{"another's end", "DELETE", own, "", header("Authorization", "Bearer "+other.token), 404, "not-found"},
		{"another's exec", "POST", own + "/exec", `{"cmd":["id"]}`, header("Authorization", "Bearer "+other.token), 404, "not-found"},
		{"another's file", "GET", own + "/files/etc/passwd", "", header("Authorization", "Bearer "+other.token), 404, "not-found"},
		{"no such id", "GET", "/api/v1/sessions/..%2F..%2Fetc", "", header("Authorization", owner), 404, "not-found"},
		{"no such path", "GET", "/api/v1/nothing", "", header(), 404, "not-found"},
		{"no such method", "PATCH", own, "", header("Authorization", owner), 405, "method-not-allowed"},
		{"exec without a command", "POST", own + "/exec", `{}`, header("Authorization", owner), 400, ""},
		{"file that is not there", "GET", own + "/files/no/such", "", header("Authorization", owner), 404, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			req, err := http.NewRequestWithContext(t.Context(), test.method, s.url+test.path, strings.NewReader(test.body))
			must(t, err)
			req.Header = test.header
			if host := test.header.Get("Host"); host != "" {
				req.Host = host
			}
			answer, err := http.DefaultClient.Do(req)
			must(t, err)
			defer func() { _ = answer.Body.Close() }()
			wantProblem(t, answer, test.status, test.code)
		})
	}
	for _, box := range []*session{box, other} { // after all that
		if got, err := box.Get(t.Context(), box.id); err != nil || got.State != sessions.Ready {
			t.Errorf("session %s: %s, %v", box.id, got.State, err)
		}
	}
}

// wantProblem checks that an answer refuses with a problem document.
func wantProblem(t *testing.T, answer *http.Response, status int, code string) {
	t.Helper()
	body, err := io.ReadAll(answer.Body)
	must(t, err)
	var p struct {
		Title, Detail, Code string
		Status              int
	}
	if err := json.Unmarshal(body, &p); err != nil || answer.Header.Get("Content-Type") != "application/problem+json" {
		t.Fatalf("no problem document: %s, %s %q", answer.Status, answer.Header.Get("Content-Type"), body)
	}
	if answer.StatusCode != status || p.Status != status || code != "" && p.Code != code || p.Title == "" || p.Detail == "" {
		t.Errorf("got %s %s, want %d %s with a title and a detail", answer.Status, body, status, code)
	}
}

func TestBadWebsockets(t *testing.T) {
	s := serve(t)
	box := s.open("busybox")
	url := "ws" + strings.TrimPrefix(s.url, "http") + "/api/v1/sessions/" + string(box.id) + "/terminals/"
	dialer := websocket.Dialer{Subprotocols: []string{"berth.terminal.v1"}}
	dial := func(path string, h http.Header) (*websocket.Conn, *http.Response) {
		if h.Get("Authorization") == "" {
			h.Set("Authorization", "Bearer "+box.token)
		}
		conn, answer, err := dialer.DialContext(t.Context(), url+path, h)
		if err != nil && !errors.Is(err, websocket.ErrBadHandshake) {
			t.Fatal(err)
		}
		return conn, answer
	}
	for _, test := range []struct {
		name, path string
		header     http.Header
		status     int
	}{
		{"foreign origin", "1", http.Header{"Origin": {"http://evil.example"}}, 403},
		{"origin null", "1", http.Header{"Origin": {"null"}}, 403},
		{"wrong token", "1", http.Header{"Authorization": {"Bearer WRONG"}}, 404},
		{"size 0", "1?cols=0&rows=0", http.Header{}, 400},
		{"size 10^6", "1?cols=1000000&rows=24", http.Header{}, 400},
		{"size of letters", "1?cols=a&rows=b", http.Header{}, 400},
		{"place of letters", "1?after=x", http.Header{}, 400},
		{"name", "..%2f1", http.Header{}, 400},
	} {
		t.Run(test.name, func(t *testing.T) {
			conn, answer := dial(test.path, test.header)
			if conn != nil {
				_ = conn.Close()
				t.Fatal("it was let in")
			}
			wantProblem(t, answer, test.status, "")
		})
	}
	for _, test := range []struct {
		name    string
		kind    int
		message string
		code    int
	}{
		{"text", websocket.TextMessage, "hello", websocket.CloseUnsupportedData},
		{"type", websocket.BinaryMessage, "\xff\xff", websocket.CloseProtocolError},
		{"short", websocket.BinaryMessage, "\x01abc", websocket.CloseProtocolError},
		{"no JSON", websocket.BinaryMessage, "\x02{", websocket.CloseProtocolError},
		{"large", websocket.BinaryMessage, "\x01" + strings.Repeat("x", 8<<20), websocket.CloseMessageTooBig},
	} {
		t.Run("garbage: "+test.name, func(t *testing.T) {
			conn, _ := dial("1", http.Header{})
			defer func() { _ = conn.Close() }()
			must(t, conn.SetReadDeadline(time.Now().Add(patience)))
			_ = conn.WriteMessage(test.kind, []byte(test.message)) // may find the connection closed already
			for {
				if _, _, err := conn.ReadMessage(); err != nil {
					if !websocket.IsCloseError(err, test.code) {
						t.Errorf("closed with %v, want %d", err, test.code)
					}
					return
				}
			}
		})
	}
	shell := box.terminal("1")
	for _, size := range []string{`{"type":"resize","cols":0,"rows":0}`, `{"type":"resize","cols":1000000,"rows":1000000}`} {
		conn, _ := dial("1", http.Header{})
		must(t, conn.WriteMessage(websocket.BinaryMessage, []byte("\x02"+size)))
		defer func() { _ = conn.Close() }()
	}
	shell.types("stty size; echo usable-$((40+2))\r")
	shell.until("usable-42")
	if !strings.Contains(shell.output.String(), "24 80\r\n") {
		t.Errorf("sizes that cannot be were applied: %q", shell.output.String())
	}
}
