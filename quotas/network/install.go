package network

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

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
