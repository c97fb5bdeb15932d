package network_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"berth/quotas"
	"berth/quotas/network"

	"github.com/vishvananda/netlink"
)

func TestSlotsOfTwoServersNeverClash(t *testing.T) {
	newWorld(t)
	claims := t.TempDir()
	a, b := openHost(t, "a", claims), openHost(t, "b", claims)
	foreign := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "berth3"}, PeerName: "other3"} // somebody else's
	must(t, netlink.LinkAdd(foreign))
	t.Cleanup(func() { must(t, netlink.LinkDel(foreign)) })
	const n = 8
	type result struct {
		link *network.Link
		err  error
	}
	results := make(chan result, 2*n)
	for i := range n {
		for _, h := range []*network.Host{a, b} {
			go func() {
				l, err := h.Allocate(t.Context(), fmt.Sprint("id", i))
				results <- result{l, err}
			}()
		}
	}
	slots := map[int]bool{3: true}
	for range 2 * n {
		r := <-results
		must(t, r.err)
		t.Cleanup(func() { must(t, r.link.Remove(context.Background())) })
		if slots[r.link.Slot] {
			t.Errorf("slot %d was given twice", r.link.Slot)
		}
		slots[r.link.Slot] = true
	}
	// One server's sweep leaves the other's alone.
	removed, err := a.Sweep(t.Context(), []string{"id0"})
	must(t, err)
	if len(removed) != n-1 {
		t.Errorf("removed %v", removed)
	}
	for h, want := range map[*network.Host]int{a: 1, b: n} {
		if left, err := h.List(); err != nil || len(left) != want {
			t.Errorf("left %v, want %d (%v)", left, want, err)
		}
	}
}

// Root in the sandbox deletes its interface: the slot, and with it the uid range, must not be handed out again.
func TestDeletedInterfaceKeepsItsSlot(t *testing.T) {
	newWorld(t)
	h := openHost(t, "a", t.TempDir())
	s := newSandbox(t, h, "one", quotas.Limits{})
	s.run(func() {
		link, err := netlink.LinkByName("eth0")
		must(t, err)
		must(t, netlink.LinkDel(link))
	})
	if _, err := s.Traffic(); err != nil {
		t.Error(err)
	}
	if owned, err := h.List(); err != nil || len(owned) != 1 || owned[0] != (network.Owned{Slot: s.Slot, ID: "one"}) {
		t.Errorf("owned %v, %v", owned, err)
	}
}

func TestRestartFindsAndRemoves(t *testing.T) {
	w := newWorld(t)
	w.echo(t, "9.9.9.9:443")
	claims := t.TempDir()
	h, err := network.Open(network.Config{Instance: "a", Claims: claims})
	must(t, err)
	s := newSandbox(t, h, "one", quotas.Limits{Bandwidth: 100e6})
	must(t, h.Close()) // the server is gone, the sandbox is not

	again := openHost(t, "a", claims)
	if _, err := s.ask("9.9.9.9:443"); err != nil {
		t.Fatalf("after a restart: %v", err)
	}
	if _, err := s.ask("10.1.2.3:443"); err == nil {
		t.Fatal("after a restart the policy does not hold")
	}
	link := again.Link(s.Slot, "one")
	if traffic, err := link.Traffic(); err != nil || traffic.Denied == 0 {
		t.Errorf("traffic %+v, %v", traffic, err)
	}
	for range 2 {
		must(t, link.Remove(t.Context()))
	}
	if left, err := os.ReadDir(claims); err != nil || len(left) != 0 {
		t.Errorf("claims left: %v, %v", left, err)
	}
	// A later owner of the slot is not touched by a late Remove of the earlier.
	must(t, os.Symlink("b:other", filepath.Join(claims, fmt.Sprint(s.Slot))))
	must(t, link.Remove(t.Context()))
	if owner, err := os.Readlink(filepath.Join(claims, fmt.Sprint(s.Slot))); err != nil || owner != "b:other" {
		t.Errorf("owner %q, %v", owner, err)
	}
}

func TestFailedAttachIsUndoneByRemove(t *testing.T) {
	newWorld(t)
	h := openHost(t, "a", t.TempDir())
	link, err := h.Allocate(t.Context(), "one")
	must(t, err)
	file, err := os.Open("/dev/null")
	must(t, err)
	defer file.Close()
	if err := link.Attach(t.Context(), file, quotas.Limits{}); err == nil {
		t.Error("/dev/null was taken for a namespace")
	}
	s := newSpace(t)
	s.run(func() { // the name is taken: making the pair fails when the rules are in force already
		must(t, netlink.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "eth0"}, PeerName: "eth1"}))
	})
	if err := link.Attach(t.Context(), s.file, quotas.Limits{}); err == nil {
		t.Error("a second eth0 was made")
	}
	must(t, link.Remove(t.Context()))
	if owned, err := h.List(); err != nil || len(owned) > 0 {
		t.Errorf("owned %v, %v", owned, err)
	}
}
