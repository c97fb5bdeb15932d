package network

import (
	"errors"

	"github.com/vishvananda/netlink"
)

// dumpTries is how often the kernel is asked for a list that changes while it is told.
const dumpTries = 20

// whole lists again where the kernel says that what it told has changed meanwhile (NLM_F_DUMP_INTR, netlink(7)).
func whole[T any](list func() ([]T, error)) (all []T, err error) {
	for range dumpTries {
		if all, err = list(); !errors.Is(err, netlink.ErrDumpInterrupted) {
			break
		}
	}
	return all, err
}
