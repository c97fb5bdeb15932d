package terminal

// ringStart is the first size of a ring's memory: what an idle shell needs.
const ringStart = 4 << 10

// Ring holds the last bytes of an endless stream. Every byte has a sequence number; the first byte ever is 0. Memory
// grows with what is written, up to the limit. It is not safe for concurrent use.
type Ring struct {
	buf         []byte
	limit       int
	first, next uint64
}

// NewRing returns a ring that holds at most limit bytes; limit must be positive.
func NewRing(limit int) *Ring { return &Ring{limit: limit} }

// First is the sequence number of the oldest byte held; it equals Next when none is.
func (r *Ring) First() uint64 { return r.first }

// Next is the sequence number that the next byte written will have.
func (r *Ring) Next() uint64 { return r.next }

// Append writes p behind what is held; the oldest bytes make room.
func (r *Ring) Append(p []byte) {
	if over := len(p) - r.limit; over > 0 {
		r.next += uint64(over)
		r.first = r.next
		p = p[over:]
	}
	r.grow(int(r.next-r.first) + len(p)) // at most 2×limit
	for len(p) > 0 {
		n := copy(r.buf[r.index(r.next):], p)
		r.next += uint64(n)
		p = p[n:]
	}
	if held := uint64(len(r.buf)); r.next-r.first > held {
		r.first = r.next - held
	}
}

// ReadAt copies bytes from sequence number seq on into p and returns how many: 0 where seq is not held.
func (r *Ring) ReadAt(p []byte, seq uint64) int {
	if seq < r.first || seq >= r.next {
		return 0
	}
	if held := r.next - seq; uint64(len(p)) > held {
		p = p[:held]
	}
	n := copy(p, r.buf[r.index(seq):])
	return n + copy(p[n:], r.buf)
}

func (r *Ring) index(seq uint64) uint64 { return seq % uint64(len(r.buf)) }

// grow makes room for need bytes, or for limit where need is more.
func (r *Ring) grow(need int) {
	if need <= len(r.buf) || len(r.buf) == r.limit {
		return
	}
	size := max(len(r.buf), ringStart)
	for size < need {
		size *= 2
	}
	old, grown := *r, Ring{buf: make([]byte, min(size, r.limit)), limit: r.limit, first: r.first, next: r.first}
	if held := old.next - old.first; held > 0 {
		from := old.index(old.first)
		head := old.buf[from:min(from+held, uint64(len(old.buf)))]
		grown.Append(head)
		grown.Append(old.buf[:held-uint64(len(head))])
	}
	*r = grown
}
