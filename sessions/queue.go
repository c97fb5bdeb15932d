package sessions

import "slices"

// queue is a fair queue: first come, first served, but a visitor's second session waits until every other visitor who
// came before it was served has had a first. Each ticket gets a round when it is drawn (start-time fair queueing): one
// later than the visitor's last, and never earlier than the round being served. Rounds never change, so that nobody
// can be overtaken for ever. The zero queue is empty.
type queue struct {
	tickets []ticket // in the order in which they are served
	round   uint64   // of the ticket served last
}

type ticket struct {
	hold    *hold
	visitor string
	round   uint64
}

func (q *queue) push(h *hold, visitor string) {
	t := ticket{hold: h, visitor: visitor, round: q.round}
	for _, other := range q.tickets {
		if other.visitor == visitor {
			t.round = max(t.round, other.round)
		}
	}
	t.round++
	at := len(q.tickets)
	for at > 0 && q.tickets[at-1].round > t.round {
		at--
	}
	q.tickets = slices.Insert(q.tickets, at, t)
}

// pop takes out the first ticket; there must be one.
func (q *queue) pop() *hold {
	t := q.tickets[0]
	q.round = t.round
	q.tickets = slices.Delete(q.tickets, 0, 1)
	return t.hold
}

// remove takes out a hold that no longer waits, and reports whether it was there.
func (q *queue) remove(h *hold) bool {
	n := len(q.tickets)
	q.tickets = slices.DeleteFunc(q.tickets, func(t ticket) bool { return t.hold == h })
	return len(q.tickets) < n
}

func (q *queue) len() int { return len(q.tickets) }
