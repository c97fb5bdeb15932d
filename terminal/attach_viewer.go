package terminal

// viewRequest is what a viewer asks when it comes.
type viewRequest struct {
	client string  // id; empty: input is not remembered over connections
	size   Size    // zero: it takes what there is
	after  *uint64 // sequence number of the next byte wanted; nil: all that is held
}

// attach makes a viewer of a request. A viewer that the same client had before must go.
func (t *Terminal) attach(req viewRequest) (*viewer, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.state == closed {
		return nil, ErrClosed
	}
	if len(t.viewers) >= t.options.MaxViewers {
		return nil, ErrTooManyViewers
	}
	v := &viewer{t: t, typist: t.typists.get(req.client), wake: make(chan struct{}, 1)}
	if old := v.typist.viewer; old != nil {
		old.kick(CloseReplaced, "this client has connected again")
	}
	v.typist.viewer = v
	v.told = v.typist.written()
	v.pos = t.ring.First()
	if req.after != nil && *req.after <= t.ring.Next() {
		v.pos = max(v.pos, *req.after)
	}
	v.acked = v.pos
	if req.size != (Size{}) {
		v.size = req.size
		if err := t.resize(req.size, v); err != nil {
			return nil, err
		}
	}
	v.greet(req)
	t.viewers[v] = struct{}{}
	t.goodbyes.Add(1)
	t.allowRead()
	return v, nil
}

// greet queues what a viewer is told first. The lock is held.
func (v *viewer) greet(req viewRequest) {
	t := v.t
	hello := Status{
		Type: Hello, From: v.pos, Next: t.ring.Next(), Input: v.told, Cols: t.size.Cols, Rows: t.size.Rows,
		Running: t.state == starting || t.state == running,
	}
	v.notices = append(v.notices, notice{at: v.pos, status: hello})
	if req.after != nil && *req.after < v.pos {
		v.notices = append(v.notices, notice{at: v.pos, status: Status{Type: Gap, From: *req.after, To: v.pos}})
	}
	if t.state == exited {
		v.tell(exitStatus(t.exit))
	}
}

// detach forgets a viewer. It is called once, when nothing of its connection is left.
func (t *Terminal) detach(v *viewer) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.viewers, v)
	if v.typist.viewer == v {
		v.typist.viewer = nil
	}
	t.allowRead()
	t.goodbyes.Done()
}
