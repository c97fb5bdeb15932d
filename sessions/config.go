package sessions

import (
	"errors"
	"fmt"
	"log/slog"
	"time"
)

// Times that no operator needs to choose.
const (
	usageWatched   = time.Second      // between two readings of a sandbox that somebody watches
	usageUnwatched = 15 * time.Second // and of one that nobody watches: only for what is told to those who come later
	usageTimeout   = 3 * time.Second  // of one reading
	clockTick      = 2 * time.Second  // between two looks at the wall clock
	clockTolerance = time.Second      // that the wall clock may stray before expiry times are told anew
	capacityTick   = 10 * time.Second // between two questions for the host's capacity
	storeTimeout   = 5 * time.Second  // of one write
	endedKept      = 24 * time.Hour   // that an ended session stays readable
	forgetTick     = 10 * time.Minute
	retryFirst     = time.Second // first pause after a failure; each next one is twice as long
	retryMost      = time.Minute
	refillPace     = 250 * time.Millisecond // between two launches for the pool
	queueRetry     = 30 * time.Second       // told to those who find the queue full
)

// Config is what a Manager is made from.
type Config struct {
	Launcher     Launcher
	Store        Store
	Environments []Environment
	Limits       Admission
	Log          *slog.Logger // nil: slog.Default()

	// Build names the program that sandboxes run. Warm ones of another build are not handed out: a visitor who comes
	// after an upgrade gets what it brought.
	Build string

	LaunchTimeout time.Duration // of one launch; 0: 60 s
	CloseTimeout  time.Duration // of one attempt to close a sandbox; 0: 30 s
	// WallClock is the time of day; nil: time.Now. Durations never come from it, only the times that are told and
	// kept do: a clock that is set does not end a session.
	WallClock func() time.Time
}

// Admission says how many sessions there may be.
type Admission struct {
	PerVisitor  int // of one visitor, those in the queue included; 0: 3
	PerAddress  int // from one IPv4 address or IPv6 /64; 0: 20
	MaxSessions int // sandboxes on this host, the pool's included; 0: as many as memory and disk allow
	QueueLength int // sessions that wait; 0: 100; negative: none may wait

	// MemoryOvercommit is how often the host's memory may be promised: limits are ceilings, few sessions reach theirs
	// at once. 0: 4.
	MemoryOvercommit float64
	// DiskOvercommit is the same for disk. 0: 1, with which sessions can never fill the host's disk.
	DiskOvercommit float64
	// DiskReserve, in bytes, is left free on the host's disk. 0: 2 GiB; negative: nothing.
	DiskReserve int64
}

func (a Admission) withDefaults() Admission {
	a.PerVisitor = orDefault(a.PerVisitor, 3)
	a.PerAddress = orDefault(a.PerAddress, 20)
	a.QueueLength = max(orDefault(a.QueueLength, 100), 0)
	a.MemoryOvercommit = orDefault(a.MemoryOvercommit, 4)
	a.DiskOvercommit = orDefault(a.DiskOvercommit, 1)
	a.DiskReserve = max(orDefault(a.DiskReserve, 2<<30), 0)
	return a
}

func orDefault[T int | int64 | float64 | time.Duration](v, otherwise T) T {
	if v == 0 {
		return otherwise
	}
	return v
}

func (a Admission) validate() error {
	switch {
	case a.PerVisitor < 0, a.PerAddress < 0, a.MaxSessions < 0:
		return errors.New("limits of sessions must not be negative")
	case a.MemoryOvercommit < 0, a.DiskOvercommit < 0:
		return errors.New("overcommit factors must not be negative")
	}
	return nil
}

// checked returns c with its defaults filled in.
func (c Config) checked() (Config, error) {
	switch {
	case c.Launcher == nil:
		return c, errors.New("sessions: no launcher")
	case c.Store == nil:
		return c, errors.New("sessions: no store")
	}
	if err := c.Limits.validate(); err != nil {
		return c, fmt.Errorf("sessions: %w", err)
	}
	if err := validateEnvironments(c.Environments); err != nil {
		return c, fmt.Errorf("sessions: %w", err)
	}
	c.Limits = c.Limits.withDefaults()
	c.LaunchTimeout = orDefault(c.LaunchTimeout, time.Minute)
	c.CloseTimeout = orDefault(c.CloseTimeout, 30*time.Second)
	if c.Log == nil {
		c.Log = slog.Default()
	}
	if c.WallClock == nil {
		c.WallClock = time.Now
	}
	return c, nil
}
