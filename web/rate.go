package web

import (
	"container/list"
	"errors"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"github.com/labstack/echo/v4"
	"golang.org/x/time/rate"

	"berth/handlers"
)

// Rate bounds how often one address may ask. Root on this host is not bound.
type Rate struct {
	PerSecond       float64 // requests of any kind
	Burst           int
	CreatePerSecond float64 // new sessions; sessions has its own limits on how many are held
	CreateBurst     int
}

// DefaultRate lets a classroom behind one address open a page each at once.
func DefaultRate() Rate {
	return Rate{PerSecond: 100, Burst: 500, CreatePerSecond: 2, CreateBurst: 60}
}

func (r Rate) check() error {
	if r.PerSecond <= 0 || r.Burst < 1 || r.CreatePerSecond <= 0 || r.CreateBurst < 1 {
		return errors.New("web: every part of Rate must be positive")
	}
	return nil
}

// maxAddresses bounds the memory (about 300 bytes each). The address that was not seen for longest is forgotten first.
const maxAddresses = 8192

type limiter struct {
	rate Rate

	mu     sync.Mutex
	byAddr map[netip.Prefix]*list.Element
	recent *list.List // of *bucket, latest first
}

type bucket struct {
	key         netip.Prefix
	all, create *rate.Limiter
}

func newLimiter(r Rate) *limiter {
	return &limiter{rate: r, byAddr: map[netip.Prefix]*list.Element{}, recent: list.New()}
}

// of returns the bucket of the address: of its /64 for IPv6, which one customer usually has whole.
func (l *limiter) of(a netip.Addr) *bucket {
	bits := a.BitLen()
	if a.Is6() {
		bits = 64
	}
	key, err := a.Prefix(bits)
	if err != nil {
		key = netip.Prefix{} // no address: all such requests share a bucket
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if e, ok := l.byAddr[key]; ok {
		l.recent.MoveToFront(e)
		if b, ok := e.Value.(*bucket); ok {
			return b
		}
	}
	b := &bucket{
		key: key, all: rate.NewLimiter(rate.Limit(l.rate.PerSecond), l.rate.Burst),
		create: rate.NewLimiter(rate.Limit(l.rate.CreatePerSecond), l.rate.CreateBurst),
	}
	l.byAddr[key] = l.recent.PushFront(b)
	if l.recent.Len() > maxAddresses {
		if old, ok := l.recent.Remove(l.recent.Back()).(*bucket); ok {
			delete(l.byAddr, old.key)
		}
	}
	return b
}

// limited comes before identified, so that guessing tokens is bound as well; root is recognised by itself.
func (s *Server) limited(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		r := c.Request()
		if s.identity.isAdmin(bearer(r)) {
			return next(c)
		}
		b := s.limiter.of(parseAddr(handlers.CallerOf(r).Address))
		creates := r.Method == http.MethodPost && (r.URL.Path == "/sessions" || r.URL.Path == "/api/v1/sessions")
		if !b.all.Allow() || creates && !b.create.Allow() {
			return &handlers.HTTPError{
				Status: http.StatusTooManyRequests, Code: "rate", Retry: time.Second,
				Message: "Too many requests from your address. Wait a second and go on.",
			}
		}
		return next(c)
	}
}
