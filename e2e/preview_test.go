package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/gorilla/websocket"
)

// echoServer is a web server in Perl, which every Debian has: it says what it was sent, and echoes one message of a websocket.
const echoServer = `
use IO::Socket::INET;
my $l = IO::Socket::INET->new(Listen => 9, LocalAddr => "127.0.0.1:$ARGV[0]", ReuseAddr => 1) or die $!;
while (my $c = $l->accept) {
  my ($head, $key) = ("", "");
  while (<$c>) { last if /^\r$/; $head .= $_; $key = $1 if /^Sec-WebSocket-Key: (\S+)/i; }
  if ($key) {
    my $sum = ` + "`printf %s ${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11 | sha1sum | cut -c-40 | perl -ne 'chomp; print pack q(H*), \\$_' | base64`" + `;
    chomp $sum;
    print $c "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: $sum\r\n\r\n";
    $c->flush;
    read $c, my $h, 6;
    my $n = ord(substr $h, 1, 1) & 127;
    read $c, my $m, $n;
    $m ^= substr(substr($h, 2, 4) x 32, 0, $n);
    print $c chr(129) . chr($n) . $m;
  } else {
    print $c "HTTP/1.1 200 OK\r\nConnection: close\r\nSet-Cookie: berth=stolen; Domain=localhost\r\nSet-Cookie: own=1; Domain=localhost\r\n\r\n$head";
  }
  close $c;
}
`

// TestPreview opens a port of a session as a visitor does who was sent the link: HTTP, a websocket, and before anybody listens.
func TestPreview(t *testing.T) {
	s := serve(t)
	box := s.open("debian")
	host := func(port int) string {
		return fmt.Sprintf("%d-%s.localhost%s", port, box.id, s.url[strings.LastIndex(s.url, ":"):])
	}
	get := func(port int, headers ...string) (*http.Response, string) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.url+"/path", nil)
		must(t, err)
		req.Host = host(port)
		for i := 0; i < len(headers); i += 2 {
			req.Header.Set(headers[i], headers[i+1])
		}
		res, err := http.DefaultClient.Do(req)
		must(t, err)
		defer func() { _ = res.Body.Close() }()
		b, err := io.ReadAll(res.Body)
		must(t, err)
		return res, string(b)
	}
	if res, page := get(8080, "Accept", "text/html"); res.StatusCode != http.StatusBadGateway || !strings.Contains(page, "Nothing listens on port 8080.") {
		t.Errorf("before anybody listens: %s %s", res.Status, page)
	}
	box.sh("cat >/tmp/echo.pl <<'END'" + echoServer + "END\n(perl /tmp/echo.pl 8080 >/tmp/log 2>&1 &)")
	eventually(t, patience, func() error {
		if res, body := get(8080); res.StatusCode != http.StatusOK {
			return errors.New(body)
		}
		return nil
	})
	res, body := get(8080, "Cookie", "berth=mine; theirs=1", "Authorization", "Bearer "+box.token)
	if !strings.HasPrefix(body, "GET /path HTTP/1.1\r\n") || !strings.Contains(body, "Host: "+host(8080)) || !strings.Contains(body, "Cookie: theirs=1\r\n") {
		t.Errorf("the program was sent %s", body)
	}
	if strings.Contains(body, "berth=") || strings.Contains(body, box.token) {
		t.Errorf("the program was sent what is ours: %s", body)
	}
	if got := res.Header["Set-Cookie"]; len(got) != 1 || got[0] != "own=1" || res.Header.Get("Content-Security-Policy") != "" {
		t.Errorf("the visitor was sent %v", res.Header)
	}
	if got := ports(t, s, box); got != `[{"port":8080,"process":"perl"}]` {
		t.Errorf("the ports are %s", got)
	}
	d := websocket.Dialer{NetDialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "tcp", strings.TrimPrefix(s.url, "http://"))
	}}
	ws, answer, err := d.DialContext(t.Context(), "ws://"+host(8080)+"/ws", nil)
	if err != nil {
		t.Fatal(err, box.sh("cat /tmp/log").Stdout)
	}
	_ = answer.Body.Close()
	defer func() { _ = ws.Close() }()
	must(t, ws.WriteMessage(websocket.TextMessage, []byte("over and out")))
	if _, b, err := ws.ReadMessage(); err != nil || string(b) != "over and out" {
		t.Errorf("the websocket echoed %q, %v", b, err)
	}
	must(t, box.End(t.Context(), box.id))
	if res, body := get(8080, "Accept", "text/html"); res.StatusCode != http.StatusNotFound || strings.Contains(body, "refresh") {
		t.Errorf("after the end: %s %s", res.Status, body)
	}
}

// ports is what the session's page asks for.
func ports(t *testing.T, s *server, box *session) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.url+"/api/v1/sessions/"+string(box.id)+"/ports", nil)
	must(t, err)
	req.Header.Set("Authorization", "Bearer "+box.token)
	res, err := http.DefaultClient.Do(req)
	must(t, err)
	defer func() { _ = res.Body.Close() }()
	b, err := io.ReadAll(res.Body)
	must(t, err)
	return strings.TrimSpace(string(b))
}

// TestDockerFromOutside: docker against a session, with its token from anywhere, and on its socket as root.
func TestDockerFromOutside(t *testing.T) {
	s := serve(t)
	box, other := s.open("busybox"), s.open("busybox")
	s.t.Setenv("HOME", t.TempDir())
	const ask = "{{.Client.Version}} {{.Server.Version}}"
	got := s.berth(nil, "docker", "--token", box.token, string(box.id), "--", "version", "--format", ask)
	if client, server, _ := strings.Cut(strings.TrimSpace(got.out), " "); got.code != 0 || client == "" || client != server {
		t.Errorf("docker version: %+v", got)
	}
	if got := s.berth(nil, "docker", string(box.id), "compose", "version"); got.code != 0 || !strings.Contains(got.out, "Compose version v5") {
		t.Errorf("as root, a plugin: %+v", got)
	}
	if got := s.berth(nil, "docker", "--token", other.token, string(box.id), "--", "version"); got.code != 1 || !strings.Contains(got.errs, "not yours") {
		t.Errorf("with another session's token: %+v", got)
	}
	if got := box.sh("docker version --format '{{.Server.Version}}'"); !strings.HasPrefix(got.Stdout, "28.") {
		t.Errorf("inside: %+v", got)
	}
}

// TestContainersFromOutside runs containers by `berth docker`: input to its end, output whole, and a published port's page.
func TestContainersFromOutside(t *testing.T) {
	s := newServer(t, dockerEnvironments)
	s.start()
	box := s.open("debian")
	t.Setenv("HOME", t.TempDir())
	docker := func(stdin string, args ...string) result {
		return s.berth(strings.NewReader(stdin), append([]string{"docker", "--token", box.token, string(box.id), "--"}, args...)...)
	}
	if got := docker(strings.Repeat("x", 1<<20), "run", "--rm", "-i", "busybox", "sh", "-c", "wc -c; exit 3"); got.code != 3 || got.out != "1048576\n" {
		t.Errorf("run -i: %+v", got)
	}
	const site = "mkdir /w && echo hello >/w/index.html && exec httpd -f -p 80 -h /w"
	if got := docker("", "run", "-d", "--name", "web", "-p", "8080:80", "busybox", "sh", "-c", site); got.code != 0 {
		t.Fatalf("run -d: %+v", got)
	}
	eventually(t, patience, func() error {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.url, nil)
		must(t, err)
		req.Host = "8080-" + string(box.id) + ".localhost"
		res, err := http.DefaultClient.Do(req)
		must(t, err)
		defer func() { _ = res.Body.Close() }()
		if b, err := io.ReadAll(res.Body); err != nil || string(b) != "hello\n" {
			return fmt.Errorf("%s %q, %w", res.Status, b, err)
		}
		return nil
	})
	if got := ports(t, s, box); got != `[{"port":8080,"process":"web"}]` {
		t.Errorf("the ports are %s", got)
	}
	if got := docker("typed", "exec", "-i", "web", "cat"); got.out != "typed" {
		t.Errorf("exec -i: %+v", got)
	}
}
