package api

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"time"

	"golang.org/x/net/http/httpguts"
)

// PortProtocol is what a client upgrades to: after the 101, the bytes of one TCP connection to the port.
const PortProtocol = "berth-port"

// maxTunnels bounds the connections to ports at a time: whoever has the link may open some, in the engine's memory.
const maxTunnels = 256

// portTimeout bounds a connection to a program of the sandbox itself: it is a few microseconds away.
const portTimeout = 5 * time.Second

// Listener is a TCP port on which a program of the sandbox listens.
type Listener struct {
	Port      uint16       `json:"port"`
	Process   string       `json:"process,omitempty"` // the program's name; "": not known
	Addresses []netip.Addr `json:"-"`                 // that it listens on; unspecified: all
}

// Listeners knows which ports answer in the sandbox's network: the workspace's own and published ones.
type Listeners interface {
	Listening(ctx context.Context) ([]Listener, error)
}

// errNothingListens is told to the visitor.
var errNothingListens = errors.New("nothing listens there")

func (s *Server) listening(ctx context.Context) ([]Listener, error) {
	if s.Ports == nil {
		return nil, nil
	}
	return s.Ports.Listening(ctx)
}

func (s *Server) listPorts(w http.ResponseWriter, r *http.Request) {
	found, err := s.listening(r.Context())
	if err != nil {
		s.fail(w, r, err)
		return
	}
	answer(w, append([]Listener{}, found...)) // never null
}

// openPort connects the client to a port of the sandbox.
func (s *Server) openPort(w http.ResponseWriter, r *http.Request) {
	port, err := strconv.ParseUint(r.PathValue("port"), 10, 16)
	if err != nil || port == 0 {
		problem(w, http.StatusBadRequest, fmt.Sprintf("%q is not a port: 1 to 65535 are.", r.PathValue("port")))
		return
	}
	if !httpguts.HeaderValuesContainsToken(r.Header["Upgrade"], PortProtocol) {
		w.Header().Set("Upgrade", PortProtocol)
		problem(w, http.StatusUpgradeRequired, "A port is reached by a request with the headers Connection: Upgrade and Upgrade: "+PortProtocol+".")
		return
	}
	if !s.tunnels.take(maxTunnels) {
		problem(w, http.StatusServiceUnavailable, fmt.Sprintf("The ports of this session have %d connections, and may have no more at a time.", maxTunnels))
		return
	}
	defer s.tunnels.leave()
	there, err := s.dialPort(r.Context(), uint16(port))
	switch {
	case errors.Is(err, errNothingListens):
		problem(w, http.StatusBadGateway, fmt.Sprintf("Nothing listens on port %d.", port))
		return
	case err != nil:
		problem(w, http.StatusBadGateway, fmt.Sprintf("Port %d does not answer: %v.", port, err))
		return
	}
	tunnel(w, there)
}

// dialPort connects to a port on 127.0.0.1, else where its program listens.
func (s *Server) dialPort(ctx context.Context, port uint16) (net.Conn, error) {
	d := net.Dialer{Timeout: portTimeout}
	loopback := netip.AddrFrom4([4]byte{127, 0, 0, 1})
	conn, err := d.DialContext(ctx, "tcp", netip.AddrPortFrom(loopback, port).String())
	if err == nil {
		return conn, nil
	}
	found, listErr := s.listening(ctx)
	if listErr != nil {
		return nil, errors.Join(err, listErr)
	}
	err = errNothingListens
	for _, l := range found {
		if l.Port != port {
			continue
		}
		for _, a := range l.Addresses {
			if a.IsUnspecified() { // of IPv4, 127.0.0.1 is one
				a = netip.IPv6Loopback()
			}
			if conn, err = d.DialContext(ctx, "tcp", netip.AddrPortFrom(a, port).String()); err == nil {
				return conn, nil
			}
		}
	}
	return nil, err
}
