// Package network ties a sandbox to the world: a veth pair, an address, and rules that say what it may reach.
//
// Open prepares the host. Allocate claims a slot, the number behind the sandbox's interface name, address and uid range.
// Link.Attach gives the sandbox's network namespace its eth0; Link.Remove takes all back. Everything in the kernel carries
// the instance's name, so that two servers share a host, and a restarted one finds its own again.
package network

import (
	"errors"
	"fmt"
	"hash/fnv"
	"log/slog"
	"net/netip"
	"os"
	"regexp"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// DefaultClaims is where all servers of a host claim slots.
const DefaultClaims = "/run/berth-slots"

// DefaultPool is the shared address space of RFC 6598, which no network that a sandbox may reach uses.
const DefaultPool = "100.64.0.0/16"

// slotBits is how many bits of an address belong to a slot: a /30 holds the gateway and the sandbox.
const slotBits = 2

// Config is what an operator says about sandboxes' network. The zero value of a field stands for the default.
type Config struct {
	Instance string           // of this server: lower-case letters and digits, at most 16
	Claims   string           // directory shared by all servers of the host; default DefaultClaims
	Pool     netip.Prefix     // IPv4 addresses of sandboxes, a /30 for each; default DefaultPool
	Deny     []netip.Prefix   // IPv4 networks that sandboxes may not reach, besides those that never are
	Allow    []netip.AddrPort // IPv4: TCP services that sandboxes may reach all the same, a registry's mirror say
	Log      *slog.Logger
}

// Host is this server's part of the host's network.
type Host struct {
	instance string
	claims   claims
	pool     netip.Prefix
	nl       *netlink.Handle
	fw       *firewall
	allow    []netip.AddrPort
	log      *slog.Logger
}

var instancePattern = regexp.MustCompile(`^[a-z0-9]{1,16}$`)

// Open prepares the host: forwarding is switched on, and the instance's nftables table is there. Rules of sandboxes that
// an earlier server left running are kept.
func Open(c Config) (*Host, error) {
	if !instancePattern.MatchString(c.Instance) {
		return nil, fmt.Errorf("network instance %q: want at most 16 lower-case letters and digits", c.Instance)
	}
	if !c.Pool.IsValid() {
		c.Pool = netip.MustParsePrefix(DefaultPool)
	}
	if !c.Pool.Addr().Is4() || c.Pool.Bits() > 32-slotBits {
		return nil, fmt.Errorf("network pool %s: want an IPv4 network of at least 4 addresses", c.Pool)
	}
	if c.Claims == "" {
		c.Claims = DefaultClaims
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	h := &Host{instance: c.Instance, pool: c.Pool.Masked(), allow: c.Allow, log: c.Log}
	for _, a := range c.Allow {
		if !a.Addr().Is4() || a.Addr().IsLoopback() || a.Port() == 0 {
			return nil, fmt.Errorf("network: %s cannot be allowed: sandboxes reach ports of IPv4 addresses that are not loopback", a)
		}
	}
	h.claims = claims{dir: c.Claims, slots: 1 << (32 - slotBits - c.Pool.Bits())}
	if err := h.claims.open(); err != nil {
		return nil, err
	}
	if err := forward(c.Log); err != nil {
		return nil, err
	}
	fw, err := openFirewall(c.Instance, append(c.Deny, h.pool))
	if err != nil {
		return nil, err
	}
	h.fw = fw
	if h.nl, err = netlink.NewHandle(unix.NETLINK_ROUTE); err != nil {
		return nil, fmt.Errorf("network: netlink: %w", err)
	}
	return h, nil
}

// Close forgets the host; sandboxes go on. The table goes with the last of them.
func (h *Host) Close() error {
	h.nl.Close()
	owned, err := h.List()
	if err != nil || len(owned) > 0 {
		return err
	}
	return h.fw.drop()
}

// forward lets the host pass packets on between interfaces. Linux starts with it off.
func forward(log *slog.Logger) error {
	const file = "/proc/sys/net/ipv4/ip_forward"
	b, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("network: %w", err)
	}
	if strings.TrimSpace(string(b)) != "0" {
		return nil
	}
	if err := os.WriteFile(file, []byte("1"), 0); err != nil {
		return fmt.Errorf("network: switch on forwarding (sysctl -w net.ipv4.ip_forward=1): %w", err)
	}
	log.Info("switched on net.ipv4.ip_forward, so that sandboxes reach the network")
	return nil
}

// Owned is a slot of this instance and the sandbox that it was claimed for.
type Owned struct {
	Slot int
	ID   string
}

// List returns the slots that this instance holds.
func (h *Host) List() ([]Owned, error) {
	all, err := h.claims.list()
	if err != nil {
		return nil, err
	}
	var mine []Owned
	for slot, owner := range all {
		if instance, id, ok := strings.Cut(owner, ":"); ok && instance == h.instance {
			mine = append(mine, Owned{Slot: slot, ID: id})
		}
	}
	return mine, nil
}

// group marks interfaces of an instance from the moment they exist; the alias, which says whose they are in words, can be
// set only afterwards. 0 is the kernel's default group.
func group(instance string) uint32 {
	f := fnv.New32a()
	_, _ = f.Write([]byte("berth " + instance)) // never fails
	return f.Sum32() | 1
}

func ignore(err error, targets ...error) error {
	for _, t := range targets {
		if errors.Is(err, t) {
			return nil
		}
	}
	return err
}
