package terminal_test

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"berth/terminal"
)

// model is a ring that keeps everything.
type model struct {
	all   []byte
	limit int
}

func (m *model) first() uint64 { return uint64(max(0, len(m.all)-m.limit)) }

func checkRing(t *testing.T, r *terminal.Ring, m *model, seq uint64, size int) {
	t.Helper()
	if r.Next() != uint64(len(m.all)) || r.First() != m.first() {
		t.Fatalf("ring holds %d…%d, want %d…%d", r.First(), r.Next(), m.first(), len(m.all))
	}
	var want []byte
	if seq >= m.first() && seq < uint64(len(m.all)) {
		want = m.all[seq:min(len(m.all), int(seq)+size)]
	}
	got := make([]byte, size)
	got = got[:r.ReadAt(got, seq)]
	if !bytes.Equal(got, want) {
		t.Fatalf("read %d bytes at %d: got %d bytes %.40q, want %d %.40q", size, seq, len(got), got, len(want), want)
	}
}

func TestRingAgainstModel(t *testing.T) {
	for _, limit := range []int{1, 2, 7, 4 << 10, 5000, 64 << 10} {
		rnd := rand.New(rand.NewPCG(1, uint64(limit)))
		r, m := terminal.NewRing(limit), &model{limit: limit}
		for range 400 {
			p := make([]byte, rnd.IntN(1+min(2*limit+3, 9000)))
			for i := range p {
				p[i] = byte(rnd.Uint32())
			}
			r.Append(p)
			m.all = append(m.all, p...)
			seq := m.first() + rnd.Uint64N(r.Next()-m.first()+2)
			checkRing(t, r, m, seq, rnd.IntN(limit+2))
			checkRing(t, r, m, rnd.Uint64N(r.Next()+3), 1)
		}
	}
}

func TestRingReadByteByByte(t *testing.T) {
	r, m := terminal.NewRing(6000), &model{limit: 6000}
	for i := range 100 {
		p := bytes.Repeat([]byte{byte(i)}, i*7)
		r.Append(p)
		m.all = append(m.all, p...)
	}
	var got []byte
	for seq := r.First(); seq < r.Next(); seq++ {
		var one [1]byte
		if r.ReadAt(one[:], seq) != 1 {
			t.Fatalf("byte %d is not held", seq)
		}
		got = append(got, one[0])
	}
	if !bytes.Equal(got, m.all[m.first():]) {
		t.Fatal("bytes read one by one are not those written")
	}
}

func FuzzRing(f *testing.F) {
	f.Add(uint16(3), []byte{1, 2, 3, 200, 5})
	f.Fuzz(func(t *testing.T, limit uint16, ops []byte) {
		m := &model{limit: int(limit) + 1}
		r := terminal.NewRing(m.limit)
		for i, op := range ops {
			p := bytes.Repeat([]byte{byte(i)}, int(op)*(1+i%40))
			r.Append(p)
			m.all = append(m.all, p...)
			checkRing(t, r, m, m.first()+uint64(op), int(op)*3)
		}
	})
}
