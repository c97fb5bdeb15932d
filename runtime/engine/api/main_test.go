package api_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"berth/runtime/engine/api"
	"berth/runtime/engine/files"
)

const containerCommand = "container" // of the test binary: DIR

// TestMain makes the test binary serve as the first process of a container.
func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == containerCommand {
		if err := errors.Join(unix.Chroot(os.Args[2]), unix.Chdir("/")); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		fmt.Println("ready")
		_, _ = io.Copy(io.Discard, os.Stdin) // until the test ends
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// workspace is a process with a root of its own, and processes that are only a number.
type workspace struct {
	tree  *files.Tree
	ended int
	err   error
}

func (w *workspace) Files() *files.Tree { return w.tree }

func (w *workspace) EndProcesses(context.Context) (int, error) { return w.ended, w.err }

// routes adds a handler below the prefix.
type routes map[string]http.HandlerFunc

func (r routes) Routes(mux *http.ServeMux, prefix string) {
	for name, h := range r {
		mux.HandleFunc("GET "+prefix+name, h)
	}
}

// log collects what the server logs.
type log struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *log) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// server is a running API over a directory.
type server struct {
	*httptest.Server
	api       *api.Server
	workspace *workspace
	dir       string
	log       *log
}

func serve(t *testing.T, extra ...api.Routes) *server {
	t.Helper()
	s := &server{workspace: &workspace{}, dir: t.TempDir(), log: &log{}}
	a := &api.Server{Workspace: s.workspace, Routes: extra, Version: "v1.2.3", Log: slog.New(slog.NewTextHandler(s.log, nil))}
	s.api = a
	s.Server = httptest.NewUnstartedServer(nil)
	s.Config = a.HTTPServer()
	s.Start()
	t.Cleanup(s.Close)
	return s
}

// withFiles gives the workspace a process whose root is the server's directory.
func (s *server) withFiles(t *testing.T) *server {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: a process gets a root of its own")
	}
	cmd := exec.Command("/proc/self/exe", containerCommand, s.dir)
	cmd.Env = append(os.Environ(), "GORACE=atexit_sleep_ms=0") // the race detector's own wait, a second by default
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(stdin.Close(), cmd.Wait()); err != nil {
			t.Errorf("the container: %v", err)
		}
	})
	if line, err := bufio.NewReader(stdout).ReadString('\n'); line != "ready\n" {
		t.Fatalf("the container says %q, %v", line, err)
	}
	s.workspace.tree = files.Of(cmd.Process.Pid)
	return s
}

// ask sends a request and returns the answer with all of its body.
func (s *server) ask(t *testing.T, method, target, body string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, s.URL+target, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	res, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(res.Body)
	if err = errors.Join(err, res.Body.Close()); err != nil {
		t.Fatal(err)
	}
	return res, string(b)
}

// want checks a status, and that an error comes as a problem document: RFC 9457.
func (s *server) want(t *testing.T, method, target, body string, status int) string {
	t.Helper()
	res, got := s.ask(t, method, target, body)
	if res.StatusCode != status {
		t.Errorf("%s %s: %s %q, want %d", method, target, res.Status, got, status)
	}
	if res.StatusCode >= http.StatusBadRequest {
		var p struct {
			Title, Detail string
			Status        int
		}
		err := json.Unmarshal([]byte(got), &p)
		if err != nil || p.Status != res.StatusCode || p.Title != http.StatusText(status) || p.Detail == "" ||
			res.Header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s %s: the problem is %q, %s, %v", method, target, got, res.Header.Get("Content-Type"), err)
		}
	}
	return got
}

func (s *server) path(name string) string { return filepath.Join(s.dir, name) }
