package terminal

// The keys that leave a terminal without ending its program, as in docker: ctrl-p ctrl-q.
const (
	ctrlP = 'p' & 0x1f
	ctrlQ = 'q' & 0x1f
)

// detachKeys looks for the detach keys in what is typed, in whatever pieces it comes.
type detachKeys struct{ held bool }

// filter returns what is to be passed on of p, and whether the keys were pressed; what follows them is dropped. A ctrl-p
// is held back until the next key shows what it was.
func (d *detachKeys) filter(p []byte) (pass []byte, detach bool) {
	pass = make([]byte, 0, len(p)+1)
	for _, b := range p {
		if d.held && b == ctrlQ {
			return pass, true
		}
		if d.held {
			pass = append(pass, ctrlP)
		}
		if d.held = b == ctrlP; !d.held {
			pass = append(pass, b)
		}
	}
	return pass, false
}
