package network

import (
	"errors"
	"fmt"
	"maps"
	"slices"
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
		return c.SetAddElements(fw.local, local)
	})
	if err == nil {
		err = fw.change(slices.Collect(maps.Values(fw.have)), (*nftables.Conn).SetAddElements)
	}
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

// drop takes the table away.
func (fw *firewall) drop() error {
	err := fw.conn.transact(func(c *nftables.Conn) error { c.DelTable(fw.table); return nil })
	fw.conn.close()
	if errors.Is(err, unix.ENOENT) {
		return nil
	}
	return err
}
