package network

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"

	"berth/quotas"
)

// maxConnections is how many connections a sandbox may have open through the host: the host's table of connections
// (nf_conntrack_max, often 65536) is shared by all.
const maxConnections = 2048

// smtp is denied unless a policy lists it: mail from a playground is spam.
const smtp = 25

// rules are the chains of one sandbox, and their rules in order.
type rules struct {
	slot    int
	iface   string
	address []byte
	from    [][]expr.Any
	local   [][]expr.Any
	to      [][]expr.Any
}

// rules writes the sandbox's policy down.
func (l *Link) rules(limits quotas.Limits) (*rules, error) {
	allowed, err := parsePorts(limits.Egress.Ports)
	if err != nil {
		return nil, err
	}
	r := &rules{slot: l.Slot, iface: l.Interface(), address: l.Address.AsSlice()}
	accept := verdict(expr.VerdictAccept)
	deny := []expr.Any{
		&expr.Objref{Type: int(nftables.ObjTypeCounter), Name: counterOf(l.Slot)},
		&expr.Verdict{Kind: expr.VerdictDrop},
	}
	honest := [][]expr.Any{ // only IPv4, and only from its own address
		join(isIPv4(false), deny),
		join(isAddress(offsetSource, r.address, false), deny),
	}
	r.to = [][]expr.Any{join(ctState(ctEstablished|ctRelated), accept), verdict(expr.VerdictDrop)}
	if limits.Egress.Deny {
		r.from, r.local = [][]expr.Any{deny}, [][]expr.Any{deny}
		return r, nil
	}

	r.from = honest
	if limits.Bandwidth > 0 {
		r.from = append(r.from, join(moreBytes(limits.Bandwidth), verdict(expr.VerdictDrop)))
	}
	r.from = append(r.from,
		join(ctState(ctEstablished|ctRelated), accept),
		join(ctState(ctInvalid), verdict(expr.VerdictDrop)),
		join(inSet(offsetDestination, l.host.fw.reserved, false), deny),
		join(toSandbox(true), deny),
	)
	if n := limits.Egress.ConnectionsPerSecond; n > 0 {
		r.from = append(r.from, join(ctState(ctNew), moreNew(n), deny))
	}
	r.from = append(r.from, join(ctState(ctNew), []expr.Any{
		&expr.Connlimit{Count: maxConnections, Flags: expr.NFT_CONNLIMIT_F_INV},
	}, deny))
	r.from = append(r.from, reach(allowed, accept, deny)...)

	r.local = append(append([][]expr.Any{}, honest...), join(ctState(ctEstablished|ctRelated), accept))
	for _, protocol := range []byte{unix.IPPROTO_UDP, unix.IPPROTO_TCP} {
		r.local = append(r.local, join(isAddress(offsetDestination, l.Gateway.AsSlice(), true),
			isProtocol(protocol), portIn(53, 53), accept))
	}
	r.local = append(r.local, deny)
	return r, nil
}

// reach ends a chain with the ports that may be reached.
func reach(allowed []ports, accept, deny []expr.Any) [][]expr.Any {
	var out [][]expr.Any
	for _, p := range allowed {
		out = append(out, join(isProtocol(p.protocol), portIn(p.first, p.last), accept))
	}
	if len(allowed) == 0 {
		out = append(out, join(isProtocol(unix.IPPROTO_TCP), portIn(smtp, smtp), deny))
		for _, protocol := range []byte{unix.IPPROTO_TCP, unix.IPPROTO_UDP, unix.IPPROTO_ICMP} {
			out = append(out, join(isProtocol(protocol), accept))
		}
	}
	return append(out, deny)
}

// moreBytes matches what exceeds the bandwidth, in bits per second.
func moreBytes(bandwidth int64) []expr.Any {
	return []expr.Any{&expr.Limit{
		Type: expr.LimitTypePktBytes, Rate: uint64(max(1, bandwidth/8)), Unit: expr.LimitTimeSecond, Over: true,
		Burst: burstOf(bandwidth),
	}}
}

// moreNew matches new connections over n a second; up to a second's worth may come at once.
func moreNew(n int) []expr.Any {
	return []expr.Any{&expr.Limit{
		Type: expr.LimitTypePkts, Rate: uint64(n), Unit: expr.LimitTimeSecond, Over: true, Burst: uint32(min(n, 1<<30)),
	}}
}

func join(parts ...[]expr.Any) []expr.Any {
	var all []expr.Any
	for _, p := range parts {
		all = append(all, p...)
	}
	return all
}

// members are the chains of a sandbox by the map that leads to them.
func (fw *firewall) members(slot int) map[*nftables.Set]*nftables.Chain {
	out := map[*nftables.Set]*nftables.Chain{}
	for _, m := range []*nftables.Set{fw.from, fw.local, fw.to} {
		out[m] = &nftables.Chain{Table: fw.table, Name: m.Name + "_" + strconv.Itoa(slot)}
	}
	return out
}

// install puts a sandbox's rules in force, in one transaction: there is never a moment with half of them.
func (fw *firewall) install(r *rules) error {
	c, err := nftables.New()
	if err != nil {
		return fmt.Errorf("nftables: %w", err)
	}
	c.AddObj(&nftables.CounterObj{Table: fw.table, Name: counterOf(r.slot)})
	lists := map[*nftables.Set][][]expr.Any{fw.from: r.from, fw.local: r.local, fw.to: r.to}
	for m, ch := range fw.members(r.slot) {
		c.AddChain(ch)
		c.FlushChain(ch)
		for _, exprs := range lists[m] {
			c.AddRule(&nftables.Rule{Table: fw.table, Chain: ch, Exprs: exprs})
		}
		element := nftables.SetElement{
			Key: ifname(r.iface), VerdictData: &expr.Verdict{Kind: expr.VerdictJump, Chain: ch.Name},
		}
		if err := c.SetAddElements(m, []nftables.SetElement{element}); err != nil {
			return fmt.Errorf("nftables: %w", err)
		}
	}
	if err := c.SetAddElements(fw.sources, []nftables.SetElement{{Key: r.address}}); err != nil {
		return fmt.Errorf("nftables: %w", err)
	}
	if err := c.Flush(); err != nil {
		return fmt.Errorf("nftables: rules of slot %d: %w", r.slot, err)
	}
	return nil
}

// remove takes a sandbox's rules away; it is fine when there are none.
func (fw *firewall) remove(slot int, address []byte) error {
	err := fw.transact(fw.removals(slot, address)...)
	if !errors.Is(err, unix.ENOENT) {
		return err
	}
	for _, step := range fw.removals(slot, address) { // some are gone already: each by itself
		if err := ignore(fw.transact(step), unix.ENOENT); err != nil {
			return err
		}
	}
	return nil
}

// removals are the steps of remove: what refers to a thing goes before the thing.
func (fw *firewall) removals(slot int, address []byte) []func(*nftables.Conn) error {
	steps := []func(*nftables.Conn) error{func(c *nftables.Conn) error {
		return c.SetDeleteElements(fw.sources, []nftables.SetElement{{Key: address}})
	}}
	iface := ifname("berth" + strconv.Itoa(slot))
	for m, ch := range fw.members(slot) {
		steps = append(steps, func(c *nftables.Conn) error {
			return c.SetDeleteElements(m, []nftables.SetElement{{
				Key: iface, VerdictData: &expr.Verdict{Kind: expr.VerdictJump, Chain: ch.Name},
			}})
		}, func(c *nftables.Conn) error {
			c.FlushChain(ch)
			c.DelChain(ch)
			return nil
		})
	}
	return append(steps, func(c *nftables.Conn) error {
		c.DeleteObject(&nftables.CounterObj{Table: fw.table, Name: counterOf(slot)})
		return nil
	})
}

func (fw *firewall) transact(steps ...func(*nftables.Conn) error) error {
	c, err := nftables.New()
	if err != nil {
		return fmt.Errorf("nftables: %w", err)
	}
	for _, step := range steps {
		if err := step(c); err != nil {
			return fmt.Errorf("nftables: %w", err)
		}
	}
	if err := c.Flush(); err != nil {
		return fmt.Errorf("nftables: %w", err)
	}
	return nil
}

// slots lists the slots that have chains in the table.
func (fw *firewall) slots() ([]int, error) {
	c, err := nftables.New()
	if err != nil {
		return nil, fmt.Errorf("nftables: %w", err)
	}
	chains, err := c.ListChainsOfTableFamily(fw.table.Family)
	if err != nil {
		return nil, fmt.Errorf("nftables: list chains: %w", err)
	}
	var slots []int
	for _, ch := range chains {
		if ch.Table.Name != fw.table.Name || !strings.HasPrefix(ch.Name, fw.from.Name+"_") {
			continue
		}
		if slot, ok := slotOfChain(ch.Name); ok {
			slots = append(slots, slot)
		}
	}
	return slots, nil
}
