package sessionstest

import (
	"maps"
	"slices"
	"time"

	"berth/quotas"
	"berth/sessions"
)

// SetCapacity says what the host has.
func (l *Launcher) SetCapacity(c sessions.Capacity) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.capacity = c
}

// FailLaunch lets the next n launches fail.
func (l *Launcher) FailLaunch(n int, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.failures.launch, l.failures.launchErr = n, err
}

// HangLaunch lets the next n launches hang until their context ends.
func (l *Launcher) HangLaunch(n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.failures.hang = n
}

// FailClose lets the next n closes, of any sandbox, fail.
func (l *Launcher) FailClose(n int, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.failures.close, l.failures.closeErr = n, err
}

// FailFind lets every Find fail; nil: no more.
func (l *Launcher) FailFind(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.failures.findErr = err
}

// FailCapacity lets every Capacity fail; nil: no more.
func (l *Launcher) FailCapacity(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.failures.capErr = err
}

// Crash ends a sandbox as if by itself; what Launch took stays until it is closed. It reports whether there was one.
func (l *Launcher) Crash(id sessions.ID, exit sessions.Exit) bool {
	l.mu.Lock()
	s := l.running[id]
	l.mu.Unlock()
	if s == nil {
		return false
	}
	s.end(exit)
	return true
}

// SetUsage lets a sandbox report usage; At is filled in.
func (l *Launcher) SetUsage(id sessions.ID, f func(*quotas.Usage)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if s := l.running[id]; s != nil {
		f(&s.usage)
		s.usage.At = time.Now()
	}
}

// Running returns the sandboxes that were launched and not closed, those that crashed included.
func (l *Launcher) Running() []sessions.ID {
	l.mu.Lock()
	defer l.mu.Unlock()
	var ids []sessions.ID
	for id, s := range l.running {
		if s != nil {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}

// Counts returns what the launcher did so far.
func (l *Launcher) Counts() Counts {
	l.mu.Lock()
	defer l.mu.Unlock()
	return Counts{Launched: maps.Clone(l.counts.Launched), Closed: maps.Clone(l.counts.Closed), Attempts: l.counts.Attempts}
}

// Most returns how many sandboxes there were at once, those being launched or closed included.
func (l *Launcher) Most() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.most
}

// UsageReads returns how often a sandbox's usage was read.
func (l *Launcher) UsageReads(id sessions.ID) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	if s := l.running[id]; s != nil {
		return s.reads
	}
	return 0
}
