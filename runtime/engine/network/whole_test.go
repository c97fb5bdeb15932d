package network_test

import (
	"errors"
	"testing"

	"github.com/vishvananda/netlink"

	"berth/runtime/engine/network"
)

func TestInterruptedLists(t *testing.T) {
	asked := 0
	all, err := network.Whole(func() ([]int, error) {
		if asked++; asked < 3 {
			return []int{1}, netlink.ErrDumpInterrupted
		}
		return []int{1, 2}, nil
	})
	if len(all) != 2 || err != nil || asked != 3 {
		t.Errorf("%v, %v after %d", all, err, asked)
	}
	failed := errors.New("no")
	if _, err := network.Whole(func() ([]int, error) { return nil, failed }); !errors.Is(err, failed) {
		t.Error(err)
	}
	if _, err := network.Whole(func() ([]int, error) { return nil, netlink.ErrDumpInterrupted }); !errors.Is(err, netlink.ErrDumpInterrupted) {
		t.Error(err)
	}
}
