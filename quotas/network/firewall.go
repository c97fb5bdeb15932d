package network

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"net/netip"
	"strconv"
	"strings"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// errNoRules says that a sandbox's rules are not in the table.
var errNoRules = errors.New("no rules")

// firewall is the instance's table "inet berth_INSTANCE". Its base chains find a sandbox's own chains by the name of the
// interface in a map, so that a packet costs the same with one sandbox and with a thousand.
//
//	from_N   what sandbox N sends through the host
//	local_N  what sandbox N sends to the host itself
//	to_N     what comes through the host for sandbox N
type firewall struct {
	table    *nftables.Table
	from     *nftables.Set // interface → from_N
	local    *nftables.Set // interface → local_N
	to       *nftables.Set // interface → to_N
	sources  *nftables.Set // addresses of sandboxes, to be masqueraded
	reserved *nftables.Set // networks that are never reached
	never    []span        // what reserved holds
}

// openFirewall makes what all sandboxes share; chains of sandboxes that live stay as they are.
func openFirewall(instance string, deny []netip.Prefix) (*firewall, error) {
	never, err := spans(append(neverReached(), deny...))
	if err != nil {
		return nil, err
	}
	t := &nftables.Table{Family: nftables.TableFamilyINet, Name: "berth_" + instance}
	verdicts := func(name string) *nftables.Set {
		return &nftables.Set{
			Table: t, Name: name, IsMap: true, KeyType: nftables.TypeIFName, DataType: nftables.TypeVerdict,
			KeyByteOrder: binaryutil.NativeEndian, // for people: so that nft shows the names
		}
	}
	fw := &firewall{
		table: t, never: never, from: verdicts("from"), local: verdicts("local"), to: verdicts("to"),
		sources:  &nftables.Set{Table: t, Name: "sources", KeyType: nftables.TypeIPAddr},
		reserved: &nftables.Set{Table: t, Name: setName(never), KeyType: nftables.TypeIPAddr, Interval: true},
	}
	return fw, fw.prepare()
}

// prepare makes the table, the sets and the base chains, in one transaction. Base chains are filled anew, so that a new
// version's rules hold at once.
func (fw *firewall) prepare() error {
	c, err := nftables.New()
	if err != nil {
		return fmt.Errorf("nftables: %w", err)
	}
	c.AddTable(fw.table)
	for _, s := range []nftables.Set{*fw.from, *fw.local, *fw.to, *fw.sources} { // copies: AddSet writes to its set
		if err := c.AddSet(&s, nil); err != nil {
			return fmt.Errorf("nftables: set %s: %w", s.Name, err)
		}
	}
	// The set's name says what is in it: one that is there already is right, and rules of older sandboxes keep theirs.
	if _, err := c.GetSetByName(fw.table, fw.reserved.Name); err != nil {
		reserved := *fw.reserved
		if err := c.AddSet(&reserved, elements(fw.never)); err != nil {
			return fmt.Errorf("nftables: set %s: %w", fw.reserved.Name, err)
		}
	}
	fw.base(c)
	if err := c.Flush(); err != nil {
		return fmt.Errorf("nftables: make table %s (is nf_tables in this kernel? modprobe nf_tables): %w", fw.table.Name, err)
	}
	return nil
}

// base fills the chains that the kernel calls.
func (fw *firewall) base(c *nftables.Conn) {
	chain := func(name string, hook *nftables.ChainHook, prio *nftables.ChainPriority, kind nftables.ChainType) *nftables.Chain {
		accept := nftables.ChainPolicyAccept
		ch := c.AddChain(&nftables.Chain{
			Table: fw.table, Name: name, Hooknum: hook, Priority: prio, Type: kind, Policy: &accept,
		})
		c.FlushChain(ch)
		return ch
	}
	add := func(ch *nftables.Chain, parts ...[]expr.Any) { c.AddRule(rule(fw.table, ch, parts...)) }

	forward := chain("forward", nftables.ChainHookForward, nftables.ChainPriorityFilter, nftables.ChainTypeFilter)
	add(forward, dispatch(expr.MetaKeyIIFNAME, fw.from))
	add(forward, dispatch(expr.MetaKeyOIFNAME, fw.to))
	input := chain("input", nftables.ChainHookInput, nftables.ChainPriorityFilter, nftables.ChainTypeFilter)
	add(input, dispatch(expr.MetaKeyIIFNAME, fw.local))
	post := chain("postrouting", nftables.ChainHookPostrouting, nftables.ChainPriorityNATSource, nftables.ChainTypeNAT)
	add(post, isIPv4(true), inSet(offsetSource, fw.sources, false), toSandbox(false), []expr.Any{&expr.Masq{}})
}

// drop removes the whole table.
func (fw *firewall) drop() error {
	c, err := nftables.New()
	if err != nil {
		return fmt.Errorf("nftables: %w", err)
	}
	c.DelTable(fw.table)
	if err := ignore(c.Flush(), unix.ENOENT); err != nil {
		return fmt.Errorf("nftables: remove table %s: %w", fw.table.Name, err)
	}
	return nil
}

// denied reads the counter of a sandbox's dropped packets; errNoRules where there is none.
func (fw *firewall) denied(slot int) (int64, error) {
	c, err := nftables.New()
	if err != nil {
		return 0, fmt.Errorf("nftables: %w", err)
	}
	obj, err := c.GetObject(&nftables.CounterObj{Table: fw.table, Name: counterOf(slot)})
	if err != nil && strings.HasSuffix(err.Error(), unix.ENOENT.Error()) { // the library flattens the error to text
		return 0, errNoRules
	} else if err != nil {
		return 0, fmt.Errorf("nftables: counter: %w", err)
	}
	counter, ok := obj.(*nftables.CounterObj)
	if !ok {
		return 0, fmt.Errorf("nftables: counter: unexpected %T", obj)
	}
	return int64(counter.Packets), nil // #nosec G115 -- 2^63 packets
}

// elements are the bounds of ranges, in the form of an interval set: the first address, and the one after the last.
func elements(all []span) []nftables.SetElement {
	var out []nftables.SetElement
	for _, s := range all {
		out = append(out, nftables.SetElement{Key: binary.BigEndian.AppendUint32(nil, s.first)})
		if s.last != 1<<32-1 { // the last range is open
			out = append(out, nftables.SetElement{Key: binary.BigEndian.AppendUint32(nil, s.last+1), IntervalEnd: true})
		}
	}
	return out
}

func setName(all []span) string {
	f := fnv.New32a()
	_, _ = fmt.Fprint(f, all) // never fails
	return "reserved_" + strconv.FormatUint(uint64(f.Sum32()), 16)
}

func counterOf(slot int) string { return "denied_" + strconv.Itoa(slot) }

// slotOfChain reads the slot in a chain's name.
func slotOfChain(name string) (int, bool) {
	_, digits, ok := strings.Cut(name, "_")
	if !ok {
		return 0, false
	}
	slot, err := strconv.Atoi(digits)
	return slot, err == nil && slot >= 0
}
