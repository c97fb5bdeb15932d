package image

import (
	"context"
	"sync"
)

// keyLock lets one at a time work on one thing, such as a layer.
type keyLock struct {
	held    chan struct{}
	waiting int
}

// lockKey waits for key. unlock must be called once.
func (s *Store) lockKey(ctx context.Context, key string) (unlock func(), err error) {
	s.mu.Lock()
	l, ok := s.locks[key]
	if !ok {
		l = &keyLock{held: make(chan struct{}, 1)}
		s.locks[key] = l
	}
	l.waiting++
	s.mu.Unlock()
	leave := func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if l.waiting--; l.waiting == 0 {
			delete(s.locks, key)
		}
	}
	select {
	case l.held <- struct{}{}:
	case <-ctx.Done():
		leave()
		return nil, context.Cause(ctx)
	}
	return sync.OnceFunc(func() {
		<-l.held
		leave()
	}), nil
}
