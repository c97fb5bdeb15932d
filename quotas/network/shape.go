package network

import (
	"strconv"
	"strings"

	"github.com/vishvananda/netlink"
)

// Bounds of what a limit lets through at once and holds back. The burst must hold at least one segment that the network
// stack did not cut yet (64 KiB), or nothing would ever pass.
const (
	minBurst   = 128 << 10 // bytes
	burstTime  = 20        // milliseconds of the rate
	queueTime  = 100       // milliseconds of the rate that may wait; more is dropped, so that keystrokes do not wait behind
	maxTbfRate = 1<<32 - 1 // bytes per second that the kernel's struct holds
)

// shaper limits what the host sends to the sandbox: a token bucket.
func shaper(index int, bandwidth int64) netlink.Qdisc {
	rate := uint64(bandwidth) / 8
	burst := burstOf(bandwidth)
	return &netlink.Tbf{
		QdiscAttrs: netlink.QdiscAttrs{LinkIndex: index, Handle: netlink.MakeHandle(1, 0), Parent: netlink.HANDLE_ROOT},
		Rate:       min(rate, maxTbfRate),
		Buffer:     netlink.Xmittime(rate, burst),
		Limit:      burst + uint32(min(rate*queueTime/1000, 1<<30)),
	}
}

// burstOf is how many bytes may pass at once.
func burstOf(bandwidth int64) uint32 {
	return uint32(min(max(minBurst, bandwidth/8*burstTime/1000), 1<<30))
}

// slotOf reads the slot in the name of a host's end of a pair.
func slotOf(name string) (int, bool) {
	digits, ok := strings.CutPrefix(name, "berth")
	if !ok {
		return 0, false
	}
	slot, err := strconv.Atoi(digits)
	return slot, err == nil && slot >= 0
}
