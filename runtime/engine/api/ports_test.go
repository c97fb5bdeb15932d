package api_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"berth/runtime/engine/api"
)

// listeners is what listens, as the network would say.
type listeners struct {
	all []api.Listener
	err error
}

func (l *listeners) Listening(context.Context) ([]api.Listener, error) { return l.all, l.err }

// program is a TCP server that first reads all that it is sent, to its end, and then answers.
func program(t *testing.T, address string) (netip.AddrPort, <-chan string) {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", address)
	if err != nil {
		t.Skipf("cannot listen on %s: %v", address, err)
	}
	got := make(chan string, 1)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			b, err := io.ReadAll(c)
			got <- fmt.Sprint(string(b), err)
			_, _ = io.WriteString(c, "answer to "+string(b))
			_ = c.Close()
		}
	}()
	t.Cleanup(func() { _ = l.Close(); <-done })
	at, err := netip.ParseAddrPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return at, got
}

// knock asks for a port, sending early with the request, and returns the answer and the connection.
func (s *server) knock(t *testing.T, port uint16, early string) (*http.Response, *bufio.Reader, *net.TCPConn) {
	t.Helper()
	c, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	_, err = fmt.Fprintf(c, "GET /v1/ports/%d HTTP/1.1\r\nHost: sandbox\r\nConnection: Upgrade\r\nUpgrade: berth-port\r\n\r\n%s", port, early)
	if err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReader(c)
	res, err := http.ReadResponse(r, nil)
	if err != nil {
		t.Fatal(err)
	}
	return res, r, c.(*net.TCPConn)
}

// TestPort sends through a tunnel, ends that half, and still gets the answer.
func TestPort(t *testing.T) {
	for _, address := range []string{"127.0.0.1:0", "[::1]:0", "127.0.0.2:0"} {
		t.Run(address, func(t *testing.T) {
			at, got := program(t, address)
			known := &listeners{all: []api.Listener{{Port: 1}, {Port: at.Port(), Addresses: []netip.Addr{at.Addr()}}}}
			if at.Addr() == netip.IPv6Loopback() {
				known.all[1].Addresses[0] = netip.IPv6Unspecified()
			}
			s := serve(t)
			s.api.Ports = known
			res, r, c := s.knock(t, at.Port(), "early ")
			if res.StatusCode != http.StatusSwitchingProtocols || res.Header.Get("Upgrade") != api.PortProtocol {
				t.Fatalf("%s %v", res.Status, res.Header)
			}
			if _, err := io.WriteString(c, "and late"); err != nil {
				t.Fatal(err)
			}
			if err := c.CloseWrite(); err != nil {
				t.Fatal(err)
			}
			if b, err := io.ReadAll(r); err != nil || string(b) != "answer to early and late" {
				t.Errorf("answered %q, %v", b, err)
			}
			if g := <-got; g != "early and late<nil>" {
				t.Errorf("the program got %q", g)
			}
		})
	}
}

func TestNoPort(t *testing.T) {
	s := serve(t)
	at, _ := program(t, "127.0.0.2:0") // which only the network could tell of
	res, _, _ := s.knock(t, at.Port(), "")
	if b, _ := io.ReadAll(res.Body); res.StatusCode != http.StatusBadGateway || !strings.Contains(string(b), fmt.Sprintf("Nothing listens on port %d.", at.Port())) {
		t.Errorf("%s %s", res.Status, b)
	}
	s.want(t, "GET", "/v1/ports/80", "", http.StatusUpgradeRequired)
	for _, bad := range []string{"0", "65536", "-1", "http"} {
		s.want(t, "GET", "/v1/ports/"+bad, "", http.StatusBadRequest)
	}
	if got := s.want(t, "GET", "/v1/ports", "", http.StatusOK); got != "[]\n" {
		t.Errorf("ports = %q", got)
	}
	s.api.Ports = &listeners{all: []api.Listener{{Port: 8080, Process: "python3", Addresses: []netip.Addr{netip.IPv4Unspecified()}}, {Port: 9}}}
	if got := s.want(t, "GET", "/v1/ports", "", http.StatusOK); got != `[{"port":8080,"process":"python3"},{"port":9}]`+"\n" {
		t.Errorf("ports = %q", got)
	}
	s.api.Ports = &listeners{err: errors.New("no /proc")}
	s.want(t, "GET", "/v1/ports", "", http.StatusInternalServerError)
}

// TestPortsAreBounded: whoever has a link to a port cannot fill the engine's memory with connections.
func TestPortsAreBounded(t *testing.T) {
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	at, err := netip.ParseAddrPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	s := serve(t)
	var open []*net.TCPConn
	for range 256 {
		res, _, c := s.knock(t, at.Port(), "")
		if res.StatusCode != http.StatusSwitchingProtocols {
			t.Fatalf("connection %d: %s", len(open), res.Status)
		}
		open = append(open, c)
	}
	if res, _, _ := s.knock(t, at.Port(), ""); res.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("one too many: %s", res.Status)
	}
	for _, c := range open {
		_ = c.Close()
	}
	_ = l.Close() // ends the other halves
}

// TestDockerIsMounted: the Docker API is found below the sandbox API, and sees its own paths.
func TestDockerIsMounted(t *testing.T) {
	s := serve(t)
	if res, _ := s.ask(t, "GET", "/v1/docker/_ping", ""); res.StatusCode != http.StatusNotFound {
		t.Errorf("without one: %s", res.Status)
	}
	s.api.Docker = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.URL.EscapedPath()) })
	s.Config.Handler = s.api.Handler()
	if got := s.want(t, "GET", "/v1/docker/v1.51/images/a%2Fb/json", "", http.StatusOK); got != "/v1.51/images/a%2Fb/json" {
		t.Errorf("asked for %q", got)
	}
}
