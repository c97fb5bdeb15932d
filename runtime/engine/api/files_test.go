package api_test

import (
	"archive/tar"
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestFiles(t *testing.T) {
	s := serve(t).withFiles(t)
	s.want(t, "POST", "/v1/files/d/e?mkdir", "", http.StatusCreated)
	s.want(t, "POST", "/v1/files/d/e?mkdir=true", "", http.StatusCreated)
	s.want(t, "PUT", "/v1/files/d/file", "content", http.StatusNoContent)
	if b, err := os.ReadFile(s.path("d/file")); err != nil || string(b) != "content" {
		t.Errorf("the file holds %q, %v", b, err)
	}
	if got := s.want(t, "GET", "/v1/files/d/file", "", http.StatusOK); got != "content" {
		t.Errorf("read %q", got)
	}
	res, got := s.ask(t, "GET", "/v1/files/d", "")
	var entries []struct{ Name, Type string }
	if err := json.Unmarshal([]byte(got), &entries); err != nil || res.Header.Get("Content-Type") != "application/json" ||
		len(entries) != 2 || entries[0].Name != "e" || entries[1].Type != "file" {
		t.Errorf("the directory is %s %q, %v", res.Header, got, err)
	}
	s.want(t, "DELETE", "/v1/files/d", "", http.StatusNoContent)
	if _, err := os.Lstat(s.path("d")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the directory is still there: %v", err)
	}
}

func TestFilesRefused(t *testing.T) {
	s := serve(t).withFiles(t)
	s.want(t, "PUT", "/v1/files/file", "content", http.StatusNoContent)
	if err := errors.Join(unix.Mkfifo(s.path("pipe"), 0o600), os.Symlink("loop", s.path("loop")), os.Mkdir(s.path("d"), 0o755)); err != nil {
		t.Fatal(err)
	}
	for target, status := range map[string]int{
		"GET /v1/files/none": http.StatusNotFound, "GET /v1/files/pipe": http.StatusConflict,
		"GET /v1/files/loop": http.StatusBadRequest, "GET /v1/files/file/x": http.StatusConflict,
		"GET /v1/files/none?archive=tar": http.StatusNotFound, "GET /v1/files/a%00b": http.StatusBadRequest,
		"GET /v1/files/" + strings.Repeat("n", 256): http.StatusBadRequest,
		"GET /v1/files/..%2F..%2Fetc%2Fpasswd":      http.StatusNotFound,
		"PUT /v1/files/d":                           http.StatusConflict, "PUT /v1/files/none/file": http.StatusNotFound,
		"PUT /v1/files/": http.StatusConflict, "PUT /v1/files/d?archive=tar": http.StatusBadRequest,
		"PUT /v1/files/none?archive=tar": http.StatusNotFound, "PUT /v1/files/pipe?archive=tar": http.StatusConflict,
		"POST /v1/files/d/e": http.StatusBadRequest, "POST /v1/files/d/e?mkdir=no": http.StatusBadRequest,
		"POST /v1/files/d/e?mkdir=false": http.StatusBadRequest, "POST /v1/files/file?mkdir": http.StatusConflict,
		"DELETE /v1/files/": http.StatusBadRequest, "DELETE /v1/files/none": http.StatusNotFound,
	} {
		method, path, _ := strings.Cut(target, " ")
		s.want(t, method, path, strings.Repeat("this is no archive", 100), status)
	}
	if log := s.log.String(); log != "" {
		t.Errorf("the visitor's mistakes are logged as ours: %s", log)
	}
}

// TestDownloads checks that what a visitor wrote is never shown under our name, whatever it is called.
func TestDownloads(t *testing.T) {
	s := serve(t).withFiles(t)
	for _, name := range []string{
		"page.html", "a b", `quote"back\slash`, "semi;colon=x", "a=b:c@d", "ünï.txt", "line\nbreak", "%41", "'()*!", "\xff.bin",
	} {
		if err := os.WriteFile(s.path(name), []byte("<script>alert(1)</script>"), 0o600); err != nil {
			t.Fatal(err)
		}
		for query, want := range map[string][2]string{"": {"application/octet-stream", name}, "?archive=tar": {"application/x-tar", name + ".tar"}} {
			res, _ := s.ask(t, "GET", "/v1/files/"+url.PathEscape(name)+query, "")
			kind, params, err := mime.ParseMediaType(res.Header.Get("Content-Disposition"))
			if err != nil || kind != "attachment" || params["filename"] != want[1] {
				t.Errorf("%q is offered as %q: %q, %v", name, res.Header.Get("Content-Disposition"), params, err)
			}
			if res.StatusCode != http.StatusOK || res.Header.Get("Content-Type") != want[0] || res.Header.Get("X-Content-Type-Options") != "nosniff" {
				t.Errorf("%q: %s %v", name, res.Status, res.Header)
			}
		}
	}
	res, _ := s.ask(t, "GET", "/v1/files/?archive=tar", "")
	if _, params, err := mime.ParseMediaType(res.Header.Get("Content-Disposition")); err != nil || params["filename"] != "root.tar" {
		t.Errorf("the whole tree is offered as %q, %v", params, err)
	}
}

func TestRange(t *testing.T) {
	s := serve(t).withFiles(t)
	s.want(t, "PUT", "/v1/files/file", "0123456789", http.StatusNoContent)
	req, err := http.NewRequestWithContext(t.Context(), "GET", s.URL+"/v1/files/file", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Range", "bytes=3-5")
	res, err := s.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if b, err := io.ReadAll(res.Body); err != nil || res.StatusCode != http.StatusPartialContent || string(b) != "345" {
		t.Errorf("%s %q, %v", res.Status, b, err)
	}
}

func TestArchives(t *testing.T) {
	s := serve(t).withFiles(t)
	s.want(t, "POST", "/v1/files/from/e?mkdir", "", http.StatusCreated)
	s.want(t, "POST", "/v1/files/to?mkdir", "", http.StatusCreated)
	s.want(t, "PUT", "/v1/files/from/e/file", "content", http.StatusNoContent)
	stream := s.want(t, "GET", "/v1/files/from?archive=tar", "", http.StatusOK)
	s.want(t, "PUT", "/v1/files/to?archive=tar", stream, http.StatusNoContent)
	if b, err := os.ReadFile(s.path("to/e/file")); err != nil || string(b) != "content" {
		t.Errorf("the copy holds %q, %v", b, err)
	}
	s.want(t, "PUT", "/v1/files/to?archive=tar", stream[:3*512+3], http.StatusBadRequest)
	var hostile bytes.Buffer
	w := tar.NewWriter(&hostile)
	if err := errors.Join(w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: "../x", Mode: 0o600}), w.Close()); err != nil {
		t.Fatal(err)
	}
	s.want(t, "PUT", "/v1/files/to?archive=tar", hostile.String(), http.StatusBadRequest)
}

// TestRefusedUploads: who uploads what is refused at once hears why, though the connection is to be closed after it.
func TestRefusedUploads(t *testing.T) {
	s := serve(t).withFiles(t)
	s.want(t, "PUT", "/v1/files/there", "old", http.StatusNoContent)
	for _, refused := range []struct {
		path, header string
		status       int
	}{{"there", "If-None-Match: *", http.StatusPreconditionFailed}, {"none/x", "X: y", http.StatusNotFound}, {"?archive=tar", "X: y", http.StatusBadRequest}} {
		conn, err := net.Dial("tcp", s.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		const size = 32 << 20
		fmt.Fprintf(conn, "PUT /v1/files/%s HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: %d\r\n%s\r\n\r\n", refused.path, size, refused.header)
		if _, err := io.CopyN(conn, ones{}, size); err != nil {
			t.Errorf("%s: %v", refused.path, err)
		}
		res, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatalf("%s: %v", refused.path, err)
		}
		if res.StatusCode != refused.status {
			t.Errorf("%s: %d, want %d", refused.path, res.StatusCode, refused.status)
		}
		_, _ = res.Body.Close(), conn.Close()
	}
	if b, err := os.ReadFile(s.path("there")); err != nil || string(b) != "old" {
		t.Errorf("%q, %v", b, err)
	}
}

// ones has no end, and is no archive.
type ones struct{}

func (ones) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = 1
	}
	return len(b), nil
}
