package webtest

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strconv"
	"sync"

	"golang.org/x/sys/unix"
)

// pair is a connection as the sandbox's socket has it: each of its directions can end by itself.
func pair() (ours, theirs net.Conn, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, err
	}
	var conns [2]net.Conn
	for i, fd := range fds {
		f := os.NewFile(uintptr(fd), "socket pair")
		var connErr error
		if conns[i], connErr = net.FileConn(f); connErr != nil {
			err = connErr
		}
		_ = f.Close() // FileConn has a copy
	}
	return conns[0], conns[1], err
}

// Listen puts a web server on a port; nil takes it away.
func (s *Sandbox) Listen(port uint16, h http.Handler) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ports == nil {
		s.ports = map[uint16]http.Handler{}
	}
	s.ports[port] = h
	if h == nil {
		delete(s.ports, port)
	}
}

func (s *Sandbox) portRoutes(mux *http.ServeMux) {
	mux.HandleFunc("GET /v1/ports", s.listPorts)
	mux.HandleFunc("GET /v1/ports/{port}", s.openPort)
	mux.HandleFunc("POST /v1/docker/test/hijack", hijack)
}

func (s *Sandbox) listPorts(w http.ResponseWriter, _ *http.Request) {
	all := []map[string]any{}
	s.mu.Lock()
	for port := range s.ports {
		all = append(all, map[string]any{"port": port, "process": "test"})
	}
	s.mu.Unlock()
	slices.SortFunc(all, func(a, b map[string]any) int { return int(a["port"].(uint16)) - int(b["port"].(uint16)) })
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(all)
}

func (s *Sandbox) openPort(w http.ResponseWriter, r *http.Request) {
	port, _ := strconv.ParseUint(r.PathValue("port"), 10, 16)
	s.mu.Lock()
	h := s.ports[uint16(port)]
	s.mu.Unlock()
	if h == nil {
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(http.StatusBadGateway)
		_, _ = fmt.Fprintf(w, `{"status":502,"detail":"Nothing listens on port %d."}`, port)
		return
	}
	conn, err := upgrade(w, "berth-port")
	if err != nil {
		return
	}
	_ = (&http.Server{Handler: h}).Serve(&single{conn: conn}) //nolint:gosec // within the process
}

// hijack is an exec of Docker's: the connection becomes what was asked for, the program sends its input back, and says how
// much it was when it has ended.
func hijack(w http.ResponseWriter, r *http.Request) {
	conn, err := upgrade(w, r.Header.Get("Upgrade"))
	if err != nil {
		return
	}
	n, _ := io.Copy(conn, conn)
	_, _ = fmt.Fprintf(conn, "|%d", n)
	_ = conn.Close()
}

func upgrade(w http.ResponseWriter, protocol string) (net.Conn, error) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err == nil {
		_, err = fmt.Fprintf(conn, "HTTP/1.1 101 UPGRADED\r\nContent-Type: application/vnd.docker.raw-stream\r\nConnection: Upgrade\r\nUpgrade: %s\r\n\r\n", protocol)
	}
	return conn, err
}

// single is a listener with one connection to give.
type single struct {
	conn net.Conn
	once sync.Once
}

func (s *single) Accept() (c net.Conn, err error) {
	err = net.ErrClosed
	s.once.Do(func() { c, err = s.conn, nil })
	return c, err
}

func (s *single) Addr() net.Addr { return s.conn.LocalAddr() }
func (s *single) Close() error   { return nil }
