package network

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/vishvananda/netlink"

	"berth/quotas"
)

// Link is a sandbox's tie to the network. Slot and ID are all that a later server needs: see Host.Link.
type Link struct {
	Slot    int
	ID      string
	Gateway netip.Addr // the host's end; the sandbox's default route and name server
	Address netip.Addr // the sandbox's eth0, in a /30

	host *Host
}

// Link returns the link of a slot that an earlier server allocated.
func (h *Host) Link(slot int, id string) *Link {
	base := h.pool.Addr().As4()
	n := uint32(base[0])<<24 | uint32(base[1])<<16 | uint32(base[2])<<8 | uint32(base[3])
	n += uint32(slot) << slotBits // #nosec G115 -- slots fit the pool
	at := func(n uint32) netip.Addr {
		return netip.AddrFrom4([4]byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)})
	}
	return &Link{Slot: slot, ID: id, Gateway: at(n + 1), Address: at(n + 2), host: h}
}

// Interface is the name of the host's end of the pair.
func (l *Link) Interface() string { return "berth" + strconv.Itoa(l.Slot) }

func (l *Link) owner() string { return l.host.instance + ":" + l.ID }

// Allocate claims a free slot for the sandbox id. That is all: the interfaces come with Attach, when the namespace that one
// of them belongs to is there. When it fails nothing is left.
func (h *Host) Allocate(ctx context.Context, id string) (*Link, error) {
	tried := map[int]bool{}
	for ctx.Err() == nil {
		slot, err := h.claims.take(h.instance+":"+id, tried)
		if err != nil {
			return nil, err
		}
		l := h.Link(slot, id)
		free, err := l.nameIsFree()
		if free {
			return l, nil
		}
		if err = errors.Join(err, h.claims.drop(slot, l.owner())); err != nil {
			return nil, fmt.Errorf("network of %s: %w", id, err)
		}
		tried[slot] = true // somebody else's interface has that name
	}
	return nil, context.Cause(ctx)
}

// Attach puts the limits in force and gives the network namespace (a descriptor of /proc/PID/ns/net) its eth0, with a
// default route. When it fails, call Remove.
func (l *Link) Attach(ctx context.Context, netns *os.File, limits quotas.Limits) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	rules, err := l.rules(limits)
	if err == nil {
		err = l.host.fw.install(rules)
	}
	if err == nil {
		err = l.makePair(netns)
	}
	if err == nil {
		err = l.configureHost(limits.Bandwidth)
	}
	if err == nil {
		err = l.configureSandbox(netns)
	}
	if err != nil {
		return fmt.Errorf("network of %s: %w", l.ID, err)
	}
	return nil
}

// Enforce puts the rules in force again where they are gone, and reports whether it had to. Others can take them away: a
// reload of the host's own firewall often begins with "flush ruleset", and would leave the host itself open to sandboxes.
// It is cheap where the rules are in place: call it every few seconds.
func (l *Link) Enforce(ctx context.Context, limits quotas.Limits) (restored bool, err error) {
	if err := ctx.Err(); err != nil {
		return false, err
	}
	_, err = l.host.fw.denied(l.Slot)
	if !errors.Is(err, errNoRules) {
		return false, err
	}
	rules, err := l.rules(limits)
	if err == nil {
		err = l.host.fw.prepare()
	}
	if err == nil {
		err = l.host.fw.install(rules)
	}
	if err != nil {
		return false, fmt.Errorf("network of %s: rules are gone and cannot be restored: %w", l.ID, err)
	}
	l.host.log.Warn("rules of a sandbox were gone (flush ruleset?) and are in force again", "sandbox", l.ID)
	return true, nil
}

// Remove takes the interfaces, the rules and last the slot back. It is idempotent. Call it when the sandbox's processes
// are gone: the next sandbox with this slot has the same uids.
func (l *Link) Remove(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if l.host.claims.owner(l.Slot) != l.owner() {
		return nil // the claim goes last: nothing is left, and the slot may be another's by now
	}
	if err := errors.Join(l.removePair(), l.host.fw.remove(l.Slot, l.Address.AsSlice())); err != nil {
		return fmt.Errorf("remove network of %s: %w", l.ID, err)
	}
	return l.host.claims.drop(l.Slot, l.owner())
}

// Sweep removes the links of this instance whose sandbox is not in keep, and returns the sandboxes' ids.
func (h *Host) Sweep(ctx context.Context, keep []string) ([]string, error) {
	owned, err := h.List()
	if err != nil {
		return nil, err
	}
	var removed []string
	var errs []error
	for _, o := range owned {
		if slices.Contains(keep, o.ID) {
			continue
		}
		if err := h.Link(o.Slot, o.ID).Remove(ctx); err != nil {
			errs = append(errs, err)
			continue
		}
		removed = append(removed, o.ID)
	}
	return removed, errors.Join(append(errs, h.sweepPairs(), h.sweepRules())...)
}

// sweepRules removes chains that no claim stands for.
func (h *Host) sweepRules() error {
	slots, err := h.fw.slots()
	if err != nil {
		return err
	}
	var errs []error
	for _, slot := range slots {
		if !strings.HasPrefix(h.claims.owner(slot), h.instance+":") {
			errs = append(errs, h.fw.remove(slot, h.Link(slot, "").Address.AsSlice()))
		}
	}
	return errors.Join(errs...)
}

// Traffic is what a sandbox has sent and received, as it sees it itself. Counters only grow.
type Traffic struct {
	Received, Sent int64 // bytes
	Denied         int64 // packets of the sandbox that policy dropped
}

// Traffic reads the counters. A sandbox that deleted its interface has no bytes to count.
func (l *Link) Traffic() (Traffic, error) {
	var t Traffic
	link, err := l.host.nl.LinkByName(l.Interface())
	var none netlink.LinkNotFoundError
	switch {
	case errors.As(err, &none):
	case err != nil:
		return t, fmt.Errorf("network of %s: %w", l.ID, err)
	default:
		if s := link.Attrs().Statistics; s != nil {
			t.Received, t.Sent = int64(s.TxBytes), int64(s.RxBytes) // #nosec G115 -- 2^63 bytes
		}
	}
	t.Denied, err = l.host.fw.denied(l.Slot)
	if ignore(err, errNoRules) != nil {
		return t, fmt.Errorf("network of %s: %w", l.ID, err)
	}
	return t, nil
}
