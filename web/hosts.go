package web

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"regexp"
	"strconv"
	"strings"

	"github.com/labstack/echo/v4"

	"berth/handlers"
	"berth/sessions"
)

// hostName is the strict grammar of a name: lower-case labels of letters, digits and inner hyphens (RFC 1123).
var hostName = regexp.MustCompile(`^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)

// hosts are the names under which the server may be asked. A hostile page may point a name of its own at our address
// (DNS rebinding); it cannot make the browser send another name in Host.
type hosts struct {
	anyPort map[string]bool
	exact   map[string]bool // with a port
}

func newHosts(configured []string, listen string) (*hosts, error) {
	h := &hosts{anyPort: map[string]bool{"localhost": true, "127.0.0.1": true, "::1": true}, exact: map[string]bool{}}
	if host, _, err := net.SplitHostPort(listen); err == nil && host != "" {
		h.anyPort[strings.ToLower(host)] = true
	}
	for _, c := range configured {
		name, port := splitHost(strings.ToLower(c))
		if name == "" {
			return nil, fmt.Errorf("host %q is not a host name or address: write it like berth.example.org or berth.example.org:8443", c)
		}
		if port != "" {
			h.exact[name+" "+port] = true
		} else {
			h.anyPort[name] = true
		}
	}
	return h, nil
}

// splitHost takes a Host header apart; an empty name where it is not one.
func splitHost(host string) (name, port string) {
	name = host
	if strings.HasPrefix(host, "[") || strings.Count(host, ":") == 1 {
		if n, p, err := net.SplitHostPort(host); err == nil {
			if p == "" || strings.Trim(p, "0123456789") != "" {
				return "", ""
			}
			name, port = n, p
		} else if inner, ok := strings.CutSuffix(strings.TrimPrefix(host, "["), "]"); ok {
			name = inner
		} else {
			return "", ""
		}
	}
	if a, err := netip.ParseAddr(name); err == nil && a.Zone() == "" {
		return a.Unmap().String(), port
	}
	if len(name) > 253 || !hostName.MatchString(name) {
		return "", ""
	}
	return name, port
}

// allowed also admits the very address that the connection came in by: no name is involved in that.
func (h *hosts) allowed(r *http.Request) bool {
	name, port := splitHost(strings.ToLower(r.Host))
	if name == "" {
		return false
	}
	if h.anyPort[name] || h.exact[name+" "+port] {
		return true
	}
	local, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	return ok && parseAddr(local.String()).String() == name
}

// portName is the first label of a port's host name.
var portName = regexp.MustCompile(`^([1-9][0-9]{0,4})-([a-z2-7]{12})$`)

// port takes PORT-ID.HOST apart, where HOST is one of our names. Addresses have no names below them.
func (h *hosts) port(r *http.Request) (handlers.Preview, bool) {
	name, port := splitHost(strings.ToLower(r.Host))
	label, base, _ := strings.Cut(name, ".")
	found := portName.FindStringSubmatch(label)
	if found == nil || base == "" || parseAddr(base).IsValid() || !h.anyPort[base] && !h.exact[base+" "+port] {
		return handlers.Preview{}, false
	}
	n, err := strconv.ParseUint(found[1], 10, 16)
	id := sessions.ID(found[2])
	return handlers.Preview{ID: id, Port: uint16(n)}, err == nil && id.Valid()
}

func (s *Server) hostAllowed(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		if p, ok := s.hosts.port(c.Request()); ok {
			return s.preview(c, p)
		}
		if s.hosts.allowed(c.Request()) {
			return next(c)
		}
		return &handlers.HTTPError{
			Status: http.StatusMisdirectedRequest, Code: "host",
			Message: "This server does not answer under that host name. Its operator allows it with --hosts (BERTH_HOSTS).",
		}
	}
}
