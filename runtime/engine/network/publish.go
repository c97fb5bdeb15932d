package network

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"

	"github.com/moby/moby/api/types/network"
	"golang.org/x/sys/unix"
)

// publish binds the container's ports on its gateway's endpoint. busy is held. What was published before must be withdrawn.
func (m *Manager) publish(mb *member) error {
	m.mu.Lock()
	gateway := mb.gateway()
	m.mu.Unlock()
	if gateway == nil {
		return nil
	}
	list, err := wishes(mb.join, gateway.segment.Bridge.HostIP)
	if err == nil {
		err = m.publishAll(mb, list, gateway)
	}
	if err != nil {
		return fmt.Errorf("driver failed programming external connectivity on endpoint %s (%s): %w", mb.join.Name, gateway.id, err)
	}
	return nil
}

func (m *Manager) publishAll(mb *member, list []wish, gateway *endpoint) error {
	var routes []route
	for _, w := range list {
		b, err := m.bind(w, gateway.address)
		if err != nil {
			return errors.Join(err, m.withdraw(mb))
		}
		mb.bindings = append(mb.bindings, b)
		routes = append(routes, b.routes...)
	}
	m.notePublished(mb)
	if len(routes) == 0 {
		return nil
	}
	fw, err := m.prepare()
	if err == nil {
		err = fw.addRoutes(routes)
	}
	if err != nil {
		return errors.Join(err, m.withdraw(mb))
	}
	m.forgetFlows(routes)
	return nil
}

// withdraw takes back what publish did. busy is held.
func (m *Manager) withdraw(mb *member) error {
	var routes []route
	for _, b := range mb.bindings {
		routes = append(routes, b.routes...)
	}
	var err error
	if len(routes) > 0 {
		var fw *firewall
		if fw, err = m.prepare(); err == nil {
			err = fw.removeRoutes(routes)
		}
		m.forgetFlows(routes)
	}
	for _, b := range mb.bindings {
		m.unbind(b)
	}
	mb.bindings = nil
	m.notePublished(mb)
	return err
}

// binding is one published port.
type binding struct {
	container network.Port
	hosts     []netip.Addr
	port      uint16 // of the host
	holders   []holder
	routes    []route
}

// bind finds a free port for a wish and holds it by sockets: nobody else in the sandbox can have it then, as nobody can have
// a port that a container has.
func (m *Manager) bind(w wish, target netip.Addr) (*binding, error) {
	if w.exact() {
		return m.bindPort(w, w.first, target)
	}
	first, last := w.first, w.last
	start := first
	if first == 0 {
		first, last = firstEphemeral, lastEphemeral
		start = m.ports.begin(w.container.Proto())
	}
	count := int(last) - int(first) + 1
	var why error
	for i := range count {
		port := first + uint16((int(start)-int(first)+i)%count)
		b, err := m.bindPort(w, port, target)
		if err == nil {
			if w.first == 0 {
				m.ports.gave(w.container.Proto(), port)
			}
			return b, nil
		}
		var taken errTaken
		if !errors.As(err, &taken) && !errors.Is(err, unix.EADDRINUSE) {
			return nil, err
		}
		why = err
	}
	if w.first == 0 {
		return nil, errors.New("all ports are allocated")
	}
	return nil, why
}

func (m *Manager) bindPort(w wish, port uint16, target netip.Addr) (*binding, error) {
	protocol := w.container.Proto()
	if err := m.ports.claim(protocol, port, w.hosts); err != nil {
		return nil, err
	}
	b := &binding{container: w.container, hosts: w.hosts, port: port}
	to := netip.AddrPortFrom(target, w.container.Num())
	for _, a := range w.hosts {
		at := netip.AddrPortFrom(a, port)
		h, err := m.hold(protocol, at, to)
		if err != nil {
			m.unbind(b)
			return nil, fmt.Errorf("failed to bind host port %s/%s: %w", at, protocol, rootCause(err))
		}
		b.holders = append(b.holders, h)
		if a.Is4() {
			b.routes = append(b.routes, route{protocol: protocolNumber(protocol), host: at, target: to})
		}
	}
	return b, nil
}

// unbind lets a port go. Its routes must be gone.
func (m *Manager) unbind(b *binding) {
	for _, h := range b.holders {
		h.close()
	}
	m.ports.release(b.container.Proto(), b.port, b.hosts)
}

func protocolNumber(p network.IPProtocol) byte {
	if p == network.UDP {
		return unix.IPPROTO_UDP
	}
	return unix.IPPROTO_TCP
}

// rootCause leaves out what package net says around an error of the kernel: Docker's message ends with it.
func rootCause(err error) error {
	var errno unix.Errno
	if errors.As(err, &errno) {
		return errno
	}
	return err
}

func decimal(n uint16) string { return strconv.Itoa(int(n)) }
