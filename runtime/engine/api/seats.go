package api

import "sync/atomic"

// seats bound how many requests of a kind are open at a time.
type seats struct{ taken atomic.Int32 }

// take takes a seat where fewer than most are taken.
func (s *seats) take(most int32) bool {
	if s.taken.Add(1) <= most {
		return true
	}
	s.leave()
	return false
}

func (s *seats) leave() { s.taken.Add(-1) }
