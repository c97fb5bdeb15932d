package network

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"
)

// claims hands out slots among all servers of a host: one symbolic link for each slot, whose target names the owner. Making
// one is atomic and either succeeds whole or finds another's. The interface could not serve as the claim: root in a sandbox
// may delete its eth0, and with it the pair, while the sandbox and its uid range live on.
type claims struct {
	dir   string
	slots int
	next  atomic.Int64 // where to look first: a slot that has just become free is the last to be used again
}

func (c *claims) open() error {
	if err := os.MkdirAll(c.dir, 0o700); err != nil {
		return fmt.Errorf("network: slots: %w", err)
	}
	all, err := c.list()
	if err != nil {
		return err
	}
	for slot := range all {
		if n := int64(slot) + 1; n > c.next.Load() {
			c.next.Store(n)
		}
	}
	return nil
}

// take claims a free slot that was not tried before for owner.
func (c *claims) take(owner string, tried map[int]bool) (int, error) {
	start := c.next.Add(1) - 1
	for i := range c.slots {
		slot := int((start + int64(i)) % int64(c.slots))
		if tried[slot] {
			continue
		}
		err := os.Symlink(owner, c.path(slot))
		if err == nil {
			c.next.Store(int64(slot) + 1)
			return slot, nil
		}
		if !errors.Is(err, fs.ErrExist) {
			return 0, fmt.Errorf("network: claim slot %d: %w", slot, err)
		}
	}
	return 0, fmt.Errorf("network: all %d slots are taken (%s)", c.slots, c.dir)
}

// drop gives a slot back, if it is owner's.
func (c *claims) drop(slot int, owner string) error {
	have, err := os.Readlink(c.path(slot))
	if errors.Is(err, fs.ErrNotExist) || (err == nil && have != owner) {
		return nil
	}
	if err == nil {
		err = os.Remove(c.path(slot))
	}
	if err != nil {
		return fmt.Errorf("network: free slot %d: %w", slot, err)
	}
	return nil
}

// owner returns who holds the slot; empty: nobody.
func (c *claims) owner(slot int) string {
	owner, err := os.Readlink(c.path(slot))
	if err != nil {
		return ""
	}
	return owner
}

// list returns the owner of every slot that is taken.
func (c *claims) list() (map[int]string, error) {
	entries, err := os.ReadDir(c.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	} else if err != nil {
		return nil, fmt.Errorf("network: slots: %w", err)
	}
	all := map[int]string{}
	for _, e := range entries {
		slot, err := strconv.Atoi(e.Name())
		if err != nil || slot < 0 {
			continue
		}
		if owner := c.owner(slot); owner != "" {
			all[slot] = owner
		}
	}
	return all, nil
}

func (c *claims) path(slot int) string { return filepath.Join(c.dir, strconv.Itoa(slot)) }
