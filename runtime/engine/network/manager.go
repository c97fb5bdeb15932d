// Package network is a Docker host's networks: bridges in the sandbox's own network namespace, a namespace of its own for
// each container, addresses, names, NAT and published ports.
//
// Nothing is made before it is needed: a sandbox whose visitor runs no container has no bridge, no rule and no goroutine of
// this package. Everything made is undone by Leave, Remove and Close.
package network

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"sync"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"berth/runtime/engine/events"
)

// Options of a Manager.
type Options struct {
	Dir    string       // where networks are kept
	RunDir string       // where namespaces of containers are mounted; a tmpfs of this engine's life
	DNS    []netip.Addr // resolvers of the sandbox's network: what containers' questions are passed on to
	Events *events.Bus
	Log    *slog.Logger
}

// Manager has the networks of a Docker host, and the containers' places in them.
type Manager struct {
	o   Options
	log *slog.Logger

	host     sync.Mutex // held while forwarding and the firewall are being made
	fw       *firewall  // nil before the first bridge; guarded by host
	mtu      int        // of the way out, where it is less than the kernel's default; set with fw
	ports    ports
	programs programs

	ctx     context.Context // of resolvers and proxies
	cancel  context.CancelFunc
	workers sync.WaitGroup // proxies, resolvers, and interfaces that are being deleted

	mu       sync.Mutex          // guards all below, and what segments and members say it does; never held over a system call that may wait
	segments map[string]*segment // by ID
	members  map[string]*member  // by ID of the container
	closed   bool
}

// New reads the networks that are kept in o.Dir. When ctx ends, resolvers and proxies stop; Close frees all.
func New(ctx context.Context, o Options) (*Manager, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	m := &Manager{o: o, log: o.Log, segments: map[string]*segment{}, members: map[string]*member{}}
	for _, dir := range []string{o.Dir, o.RunDir} {
		if err := os.MkdirAll(dir, 0o711); err != nil {
			return nil, err
		}
	}
	if err := m.load(); err != nil {
		return nil, err
	}
	m.ctx, m.cancel = context.WithCancel(ctx)
	return m, nil
}

// Close lets all containers leave, and takes away all that was made. Networks are kept for the next engine.
func (m *Manager) Close(ctx context.Context) error {
	m.mu.Lock()
	m.closed = true
	var members []string
	for id := range m.members {
		members = append(members, id)
	}
	segments := make([]*segment, 0, len(m.segments))
	for _, s := range m.segments {
		segments = append(segments, s)
	}
	m.mu.Unlock()
	var errs []error
	for _, id := range members {
		errs = append(errs, m.Leave(ctx, id))
	}
	m.cancel()
	m.workers.Wait()
	for _, s := range segments {
		errs = append(errs, m.takeDown(s))
	}
	m.host.Lock()
	defer m.host.Unlock()
	if m.fw != nil {
		errs = append(errs, m.fw.drop())
		m.fw = nil
	}
	return errors.Join(errs...)
}

// prepare makes what all bridges share: forwarding between interfaces, and the rules.
func (m *Manager) prepare() (*firewall, error) {
	m.host.Lock()
	defer m.host.Unlock()
	if m.fw != nil {
		return m.fw, nil
	}
	if err := sysctl("net/ipv4/ip_forward", "1"); err != nil {
		return nil, fmt.Errorf("switch on forwarding: %w", err)
	}
	// Frames within a bridge need no rules: with br_netfilter they would take the long way. Older kernels have one switch for
	// all, which is not ours; the rules let such frames pass.
	if err := sysctl("net/bridge/bridge-nf-call-iptables", "0"); err != nil && !errors.Is(err, os.ErrNotExist) {
		m.log.Debug("frames within bridges pass the rules", "error", err)
	}
	fw, err := openFirewall()
	if err != nil {
		return nil, err
	}
	m.fw, m.mtu = fw, uplinkMTU()
	return fw, nil
}

// defaultMTU is what the kernel gives to bridges and pairs.
const defaultMTU = 1500

// uplinkMTU is that of the default route's interface where it is less than the default, or else 0.
func uplinkMTU() int {
	nl, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return 0
	}
	defer nl.Close()
	routes, err := whole(func() ([]netlink.Route, error) {
		return nl.RouteListFiltered(unix.AF_INET, &netlink.Route{Dst: nil}, netlink.RT_FILTER_DST)
	})
	if err != nil {
		return 0
	}
	for _, r := range routes {
		if link, err := nl.LinkByIndex(r.LinkIndex); err == nil && link.Attrs().MTU < defaultMTU {
			return link.Attrs().MTU
		}
	}
	return 0
}

// sysctl writes a setting of the network namespace of this process.
func sysctl(name, value string) error {
	fd, err := unix.Open(filepath.Join("/proc/sys", name), unix.O_WRONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return &os.PathError{Op: "open", Path: name, Err: err}
	}
	_, err = unix.Write(fd, []byte(value))
	if err = errors.Join(err, unix.Close(fd)); err != nil {
		return fmt.Errorf("write %q to %s: %w", value, name, err)
	}
	return nil
}
