package sessions

import (
	"math"

	"berth/quotas"
)

// share is what one sandbox takes of the host, or what several take together.
type share struct {
	sandboxes int
	memory    int64 // limits, in bytes
	disk      int64
	used      int64 // of disk: bytes that are on the host's disk already
}

func shareOf(l quotas.Limits) share {
	return share{sandboxes: 1, memory: l.MemoryBytes, disk: l.DiskBytes}
}

func (s share) plus(t share) share {
	return share{s.sandboxes + t.sandboxes, s.memory + t.memory, s.disk + t.disk, s.used + t.used}
}

func (s share) minus(t share) share {
	return share{s.sandboxes - t.sandboxes, s.memory - t.memory, s.disk - t.disk, s.used - t.used}
}

// room is the host's space for sandboxes: who holds how much, and what more would fit. A share is held from before the
// launch until the sandbox is closed.
type room struct {
	limits Admission
	host   Capacity
	held   map[ID]share
	total  share // of all that is held
}

func newRoom(l Admission) room { return room{limits: l, held: make(map[ID]share)} }

func (r *room) take(id ID, s share) {
	r.held[id] = s
	r.total = r.total.plus(s)
}

func (r *room) free(id ID) {
	r.total = r.total.minus(r.held[id])
	delete(r.held, id)
}

// use notes how much of its disk a sandbox has filled.
func (r *room) use(id ID, diskBytes int64) {
	s, ok := r.held[id]
	if !ok {
		return
	}
	r.total = r.total.minus(s)
	s.used = min(diskBytes, s.disk)
	r.take(id, s)
}

// fits reports whether s fits beside what else is held. What is used of the disks is not free any more, but was
// promised before: it is counted once.
func (r *room) fits(held, s share) bool {
	after := held.plus(s)
	memory := float64(r.host.MemoryBytes) * r.limits.MemoryOvercommit
	disk := float64(r.host.DiskFree+r.total.used-r.limits.DiskReserve) * r.limits.DiskOvercommit
	return (r.limits.MaxSessions == 0 || after.sandboxes <= r.limits.MaxSessions) &&
		float64(after.memory) <= memory && float64(after.disk) <= disk
}

// more says how many sandboxes of s, which must not be empty, fit beside what else is held.
func (r *room) more(held, s share) int {
	memory := float64(r.host.MemoryBytes)*r.limits.MemoryOvercommit - float64(held.memory)
	disk := float64(r.host.DiskFree+r.total.used-r.limits.DiskReserve)*r.limits.DiskOvercommit - float64(held.disk)
	n := min(memory/float64(s.memory), disk/float64(s.disk), math.MaxInt32)
	if r.limits.MaxSessions > 0 {
		n = min(n, float64(r.limits.MaxSessions-held.sandboxes))
	}
	return int(max(n, 0))
}
