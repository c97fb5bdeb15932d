package api_test

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"

	"berth/runtime/engine/files"
)

func TestInfo(t *testing.T) {
	s := serve(t)
	res, body := s.ask(t, "GET", "/v1/info", "")
	if res.StatusCode != http.StatusOK || res.Header.Get("Content-Type") != "application/json" ||
		strings.TrimSpace(body) != `{"api":1,"ready":true,"version":"v1.2.3"}` {
		t.Errorf("%s %s %q", res.Status, res.Header, body)
	}
}

func TestEndProcesses(t *testing.T) {
	s := serve(t)
	s.workspace.ended = 42
	if got := s.want(t, "DELETE", "/v1/processes", "", http.StatusOK); strings.TrimSpace(got) != `{"ended":42}` {
		t.Errorf("the answer is %q", got)
	}
}

// TestErrors goes through the table of errors and their status; only what is nobody's fault but ours is logged.
func TestErrors(t *testing.T) {
	for _, c := range []struct {
		err    error
		status int
	}{
		{files.ErrArchive, http.StatusBadRequest},
		{files.ErrIsRoot, http.StatusBadRequest},
		{unix.ELOOP, http.StatusBadRequest},
		{unix.ENAMETOOLONG, http.StatusBadRequest},
		{unix.EINVAL, http.StatusBadRequest},
		{fs.ErrNotExist, http.StatusNotFound},
		{unix.ENOENT, http.StatusNotFound},
		{fs.ErrPermission, http.StatusForbidden},
		{unix.EROFS, http.StatusForbidden},
		{files.ErrNotRegular, http.StatusConflict},
		{fs.ErrExist, http.StatusConflict},
		{unix.ENOTDIR, http.StatusConflict},
		{unix.EISDIR, http.StatusConflict},
		{unix.EBUSY, http.StatusConflict},
		{unix.ENOSPC, http.StatusInsufficientStorage},
		{unix.EDQUOT, http.StatusInsufficientStorage},
		{errdefs.ErrConflict.WithMessage("in use"), http.StatusConflict},
		{errdefs.ErrFailedPrecondition.WithMessage("not mounted"), http.StatusConflict},
		{errdefs.ErrNotFound.WithMessage("No such image"), http.StatusNotFound},
		{errdefs.ErrResourceExhausted.WithMessage("too many"), http.StatusTooManyRequests},
		{errdefs.ErrOutOfRange.WithMessage("too large"), http.StatusUnprocessableEntity},
		{errors.New("something else"), http.StatusInternalServerError},
	} {
		t.Run(c.err.Error(), func(t *testing.T) {
			s := serve(t)
			s.workspace.err = fmt.Errorf("end: %w", &fs.PathError{Op: "x", Path: "/y", Err: c.err})
			got := s.want(t, "DELETE", "/v1/processes", "", c.status)
			if !strings.Contains(got, c.err.Error()) {
				t.Errorf("the problem does not say what went wrong: %q", got)
			}
			if logged := s.log.String() != ""; logged != (c.status == http.StatusInternalServerError) {
				t.Errorf("the log is %q", s.log)
			}
		})
	}
}

func TestPanicEndsOneRequest(t *testing.T) {
	s := serve(t, routes{
		"/panic": func(http.ResponseWriter, *http.Request) { panic("a secret of ours") },
		"/half": func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, "half")
			w.(http.Flusher).Flush()
			panic("late")
		},
		"/abort": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
	})
	if got := s.want(t, "GET", "/v1/panic", "", http.StatusInternalServerError); strings.Contains(got, "secret") {
		t.Errorf("the client is told %q", got)
	}
	if !strings.Contains(s.log.String(), "a secret of ours") || !strings.Contains(s.log.String(), "api_test.go") {
		t.Errorf("the log is %q", s.log)
	}
	res, err := s.Client().Get(s.URL + "/v1/half")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if b, err := io.ReadAll(res.Body); !errors.Is(err, io.ErrUnexpectedEOF) || string(b) != "half" {
		t.Errorf("%q, %v: it must not look whole", b, err)
	}
	if res, err := s.Client().Get(s.URL + "/v1/abort"); err == nil {
		res.Body.Close()
		t.Errorf("an aborted request is answered: %s", res.Status)
	}
	s.want(t, "GET", "/v1/info", "", http.StatusOK)
}

func TestUnknownRoutes(t *testing.T) {
	s := serve(t)
	for target, status := range map[string]int{
		"GET /v1/none": http.StatusNotFound, "GET /": http.StatusNotFound, "POST /v1/info": http.StatusMethodNotAllowed,
		"PATCH /v1/files/x": http.StatusMethodNotAllowed,
	} {
		method, path, _ := strings.Cut(target, " ")
		if res, _ := s.ask(t, method, path, ""); res.StatusCode != status {
			t.Errorf("%s: %s, want %d", target, res.Status, status)
		}
	}
}
