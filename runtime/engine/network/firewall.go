package network

import (
	"errors"
	"fmt"
	"net/netip"
	"sync"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// tableName is our table of family ip; everything of ours is in it.
const tableName = "docker"

// firewall is the rules of all bridges and published ports. Chains never change: what comes and goes are elements of sets
// and maps, so that a packet costs the same with one container and with a hundred, and a container one transaction.
type firewall struct {
	table *nftables.Table
	conn  conn

	mu   sync.Mutex
	have map[string]element // what is in force, by set and key

	bridges    *nftables.Set // all
	same       *nftables.Set // each bridge with itself
	internal   *nftables.Set // those that nothing leaves or enters
	masquerade *nftables.Set // those whose containers go out with the sandbox's address
	local      *nftables.Set // addresses of this namespace, besides 127.0.0.0/8
	published  *nftables.Set // protocol, port → container and port
	at         *nftables.Set // address, protocol, port → container and port
}

// openFirewall makes the rules, without any bridge yet.
func openFirewall() (*firewall, error) {
	t := &nftables.Table{Family: nftables.TableFamilyIPv4, Name: tableName}
	names := func(name string) *nftables.Set {
		return &nftables.Set{Table: t, Name: name, KeyType: nftables.TypeIFName, KeyByteOrder: binaryutil.NativeEndian}
	}
	concat := func(types ...nftables.SetDatatype) nftables.SetDatatype {
		return nftables.MustConcatSetType(types...)
	}
	target := concat(nftables.TypeIPAddr, nftables.TypeInetService)
	fw := &firewall{
		table: t, have: map[string]element{}, bridges: names("bridges"), internal: names("internal"), masquerade: names("masquerade"),
		same: &nftables.Set{
			Table: t, Name: "same", Concatenation: true, KeyType: concat(nftables.TypeIFName, nftables.TypeIFName),
		},
		local: &nftables.Set{Table: t, Name: "local", KeyType: nftables.TypeIPAddr},
		published: &nftables.Set{
			Table: t, Name: "published", IsMap: true, Concatenation: true,
			KeyType: concat(nftables.TypeInetProto, nftables.TypeInetService), DataType: target,
		},
		at: &nftables.Set{
			Table: t, Name: "published_at", IsMap: true, Concatenation: true,
			KeyType: concat(nftables.TypeIPAddr, nftables.TypeInetProto, nftables.TypeInetService), DataType: target,
		},
	}
	return fw, fw.install()
}

// install makes the table with what is to be in force; one that is there is replaced.
func (fw *firewall) install() error {
	local, err := localAddresses()
	if err != nil {
		return err
	}
	err = fw.conn.transact(func(c *nftables.Conn) error {
		c.AddTable(fw.table)
		c.DelTable(fw.table)
		c.AddTable(fw.table)
		for _, s := range fw.sets() {
			if err := c.AddSet(s, nil); err != nil {
				return err
			}
		}
		fw.chains(c)
		for _, e := range fw.have {
			if err := c.SetAddElements(e.set, []nftables.SetElement{e.e}); err != nil {
				return err
			}
		}
		return c.SetAddElements(fw.local, local)
	})
	if err != nil {
		return fmt.Errorf("firewall (is nf_tables in this kernel?): %w", err)
	}
	return nil
}

func (fw *firewall) sets() []*nftables.Set {
	return []*nftables.Set{fw.bridges, fw.same, fw.internal, fw.masquerade, fw.local, fw.published, fw.at}
}

// chains fills the chains that the kernel calls.
func (fw *firewall) chains(c *nftables.Conn) {
	accept, drop := verdict(expr.VerdictAccept), verdict(expr.VerdictDrop)
	in, out := expr.MetaKeyIIFNAME, expr.MetaKeyOIFNAME
	masquerade := []expr.Any{&expr.Masq{}}
	for _, ch := range []struct {
		name     string
		kind     nftables.ChainType
		hook     *nftables.ChainHook
		priority *nftables.ChainPriority
		rules    [][]expr.Any
	}{
		{"input", nftables.ChainTypeFilter, nftables.ChainHookInput, nftables.ChainPriorityFilter, [][]expr.Any{
			// Only answers come to 127.0.0.1 over a bridge: see route_localnet.
			join(iface(in, fw.bridges, true), loopback(offsetDestination), conntrack(expr.CtKeySTATE, ctEstablished|ctRelated, false), drop),
		}},
		{"forward", nftables.ChainTypeFilter, nftables.ChainHookForward, nftables.ChainPriorityFilter, [][]expr.Any{
			join(conntrack(expr.CtKeySTATE, ctEstablished|ctRelated, true), accept),
			join(sameInterface(fw.same), accept),                    // with br_netfilter also frames within a bridge come here
			join(conntrack(expr.CtKeySTATUS, ctDNAT, true), accept), // published
			join(iface(in, fw.internal, true), drop),
			join(iface(out, fw.internal, true), drop),
			join(iface(in, fw.bridges, false), iface(out, fw.bridges, true), drop),
			join(iface(in, fw.bridges, true), iface(out, fw.bridges, true), drop),
		}},
		{"prerouting", nftables.ChainTypeNAT, nftables.ChainHookPrerouting, nftables.ChainPriorityNATDest, [][]expr.Any{
			forwardBy(fw.at, true),
			join(addressIn(fw.local), forwardBy(fw.published, false)),
		}},
		{"output", nftables.ChainTypeNAT, nftables.ChainHookOutput, nftables.ChainPriorityNATDest, [][]expr.Any{
			forwardBy(fw.at, true),
			join(addressIn(fw.local), forwardBy(fw.published, false)),
			join(loopback(offsetDestination), forwardBy(fw.published, false)),
		}},
		{"postrouting", nftables.ChainTypeNAT, nftables.ChainHookPostrouting, nftables.ChainPriorityNATSource, [][]expr.Any{
			join(loopback(offsetSource), iface(out, fw.bridges, true), masquerade),
			// From one container to a published port of another, or of itself: the answer must come back this way.
			join(iface(in, fw.bridges, true), iface(out, fw.bridges, true), conntrack(expr.CtKeySTATUS, ctDNAT, true), masquerade),
			join(iface(in, fw.masquerade, true), iface(out, fw.bridges, false), masquerade),
		}},
	} {
		chain := c.AddChain(&nftables.Chain{Table: fw.table, Name: ch.name, Type: ch.kind, Hooknum: ch.hook, Priority: ch.priority})
		for _, exprs := range ch.rules {
			c.AddRule(&nftables.Rule{Table: fw.table, Chain: chain, Exprs: exprs})
		}
	}
}

// element is one of a set or a map.
type element struct {
	set *nftables.Set
	e   nftables.SetElement
}

func (e element) key() string { return e.set.Name + "\x00" + string(e.e.Key) }

func (fw *firewall) ofBridge(s *segment) []element {
	name := ifname(s.Bridge.Interface)
	elements := []element{
		{fw.bridges, nftables.SetElement{Key: name}},
		{fw.same, nftables.SetElement{Key: append(append([]byte{}, name...), name...)}},
		{fw.local, nftables.SetElement{Key: address(s.Gateway)}},
	}
	if s.Internal {
		return append(elements, element{fw.internal, nftables.SetElement{Key: name}})
	}
	if !s.Bridge.NoNAT {
		elements = append(elements, element{fw.masquerade, nftables.SetElement{Key: name}})
	}
	return elements
}

func (fw *firewall) addBridge(s *segment) error    { return fw.add(fw.ofBridge(s)) }
func (fw *firewall) removeBridge(s *segment) error { return fw.remove(fw.ofBridge(s)) }

// route is a published port: what comes to it goes to a container.
type route struct {
	protocol byte           // IPPROTO_TCP or IPPROTO_UDP
	host     netip.AddrPort // the address 0.0.0.0 stands for all of this namespace
	target   netip.AddrPort
}

func (fw *firewall) ofRoutes(routes []route) []element {
	elements := make([]element, 0, len(routes))
	for _, r := range routes {
		e := nftables.SetElement{
			Key: padded([]byte{r.protocol}, port(r.host.Port())),
			Val: padded(address(r.target.Addr()), port(r.target.Port())),
		}
		set := fw.published
		if !r.host.Addr().IsUnspecified() {
			set, e.Key = fw.at, padded(address(r.host.Addr()), e.Key)
		}
		elements = append(elements, element{set, e})
	}
	return elements
}

func (fw *firewall) addRoutes(routes []route) error    { return fw.add(fw.ofRoutes(routes)) }
func (fw *firewall) removeRoutes(routes []route) error { return fw.remove(fw.ofRoutes(routes)) }

// drop takes the table away.
func (fw *firewall) drop() error {
	err := fw.conn.transact(func(c *nftables.Conn) error { c.DelTable(fw.table); return nil })
	fw.conn.close()
	if errors.Is(err, unix.ENOENT) {
		return nil
	}
	return err
}

// add puts elements in force. Where somebody in the sandbox has flushed the rules, all are made anew.
func (fw *firewall) add(elements []element) error {
	fw.mu.Lock()
	defer fw.mu.Unlock()
	err := fw.conn.transact(func(c *nftables.Conn) error {
		for _, e := range elements {
			if err := c.SetAddElements(e.set, []nftables.SetElement{e.e}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil && !errors.Is(err, unix.ENOENT) {
		return err
	}
	for _, e := range elements {
		fw.have[e.key()] = e
	}
	if err == nil {
		return nil
	}
	if err := fw.install(); err != nil {
		for _, e := range elements {
			delete(fw.have, e.key())
		}
		return err
	}
	return nil
}

// remove takes elements away. Where some are gone already, because somebody in the sandbox flushed the rules, each goes by
// itself.
func (fw *firewall) remove(elements []element) error {
	fw.mu.Lock()
	defer fw.mu.Unlock()
	for _, e := range elements {
		delete(fw.have, e.key())
	}
	one := func(e element) func(*nftables.Conn) error {
		return func(c *nftables.Conn) error { return c.SetDeleteElements(e.set, []nftables.SetElement{e.e}) }
	}
	steps := make([]func(*nftables.Conn) error, len(elements))
	for i, e := range elements {
		steps[i] = one(e)
	}
	err := fw.conn.transact(steps...)
	if !errors.Is(err, unix.ENOENT) {
		return err
	}
	for _, step := range steps {
		if err := fw.conn.transact(step); err != nil && !errors.Is(err, unix.ENOENT) {
			return err
		}
	}
	return nil
}
