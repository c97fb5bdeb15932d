package container

import (
	"fmt"
	"strings"
	"time"

	"github.com/docker/go-units"
	api "github.com/moby/moby/api/types/container"
)

// state is whether a container runs and how it ended, with Docker's meaning: one that is paused or waits for its restart
// is running, too.
type state struct {
	Running, Paused, Restarting bool
	Removing, Dead, OOMKilled   bool

	PID                   int
	ExitCode              int
	Error                 string
	StartedAt, FinishedAt time.Time
	Health                *api.Health `json:",omitempty"`
}

// Exit codes that Docker gives to containers whose start failed.
const (
	codeCannotRun = 126
	codeNotFound  = 127
	codeUnknown   = 128
	codeLost      = 255 // it ran when the sandbox ended
)

func (s *state) status() api.ContainerState {
	switch {
	case s.Paused:
		return api.StatePaused
	case s.Restarting:
		return api.StateRestarting
	case s.Running:
		return api.StateRunning
	case s.Removing:
		return api.StateRemoving
	case s.Dead:
		return api.StateDead
	case s.StartedAt.IsZero():
		return api.StateCreated
	}
	return api.StateExited
}

// words is the state as `docker ps` shows it.
func (s *state) words(now time.Time) string {
	since := func(t time.Time) string { return units.HumanDuration(now.Sub(t)) }
	switch {
	case s.Paused:
		return fmt.Sprintf("Up %s (Paused)", since(s.StartedAt))
	case s.Restarting:
		return fmt.Sprintf("Restarting (%d) %s ago", s.ExitCode, since(s.FinishedAt))
	case s.Running && s.Health != nil:
		h := string(s.Health.Status)
		if s.Health.Status == api.Starting {
			h = "health: " + h
		}
		return fmt.Sprintf("Up %s (%s)", since(s.StartedAt), h)
	case s.Running:
		return "Up " + since(s.StartedAt)
	case s.Removing:
		return "Removal In Progress"
	case s.Dead:
		return "Dead"
	case s.StartedAt.IsZero():
		return "Created"
	case s.FinishedAt.IsZero():
		return ""
	}
	return fmt.Sprintf("Exited (%d) %s ago", s.ExitCode, since(s.FinishedAt))
}

// inspect is the state as the API tells it.
func (s *state) inspect() *api.State {
	out := &api.State{
		Status: s.status(), Running: s.Running, Paused: s.Paused, Restarting: s.Restarting, OOMKilled: s.OOMKilled, Dead: s.Dead,
		Pid: s.PID, ExitCode: s.ExitCode, Error: s.Error,
		StartedAt: s.StartedAt.UTC().Format(time.RFC3339Nano), FinishedAt: s.FinishedAt.UTC().Format(time.RFC3339Nano),
	}
	if s.Health != nil {
		out.Health = copyHealth(s.Health)
	}
	return out
}

func copyHealth(h *api.Health) *api.Health {
	return &api.Health{Status: h.Status, FailingStreak: h.FailingStreak, Log: append([]*api.HealthcheckResult{}, h.Log...)}
}

// waiter waits for a container's end or removal.
type waiter struct {
	removed bool // it waits for the removal
	ch      chan api.WaitResponse
}

// notify answers those who wait for the container's end, and with removed those who wait for its removal, too. c.mu is held.
func (c *Container) notify(removed bool) {
	keep := c.waiters[:0]
	for _, w := range c.waiters {
		if w.removed && !removed {
			keep = append(keep, w)
			continue
		}
		w.ch <- c.exit() // buffered for one
	}
	c.waiters = keep
}

// exit is how it ended. c.mu is held.
func (c *Container) exit() api.WaitResponse {
	r := api.WaitResponse{StatusCode: int64(c.rec.State.ExitCode)}
	if c.rec.State.Error != "" {
		r.Error = &api.WaitExitError{Message: c.rec.State.Error}
	}
	return r
}

// Wait returns a channel that gets the container's exit when the condition is met. It is met later than the call for
// next-exit; a caller can start the container afterwards and miss nothing.
func (m *Manager) Wait(ref string, condition api.WaitCondition) (<-chan api.WaitResponse, func(), error) {
	switch condition {
	case "", api.WaitConditionNotRunning, api.WaitConditionNextExit, api.WaitConditionRemoved:
	default:
		return nil, nil, invalid("invalid condition: %q", string(condition))
	}
	c, err := m.Get(ref)
	if err != nil {
		return nil, nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	ch := make(chan api.WaitResponse, 1)
	if (condition == "" || condition == api.WaitConditionNotRunning) && !c.rec.State.Running {
		ch <- c.exit()
		return ch, func() {}, nil
	}
	c.waiters = append(c.waiters, waiter{condition == api.WaitConditionRemoved, ch})
	return ch, func() { c.stopWaiting(ch) }, nil
}

func (c *Container) stopWaiting(ch chan api.WaitResponse) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, w := range c.waiters {
		if w.ch == ch {
			c.waiters = append(c.waiters[:i], c.waiters[i+1:]...)
			return
		}
	}
}

// shortID is how Docker writes an ID where room is short.
func shortID(id string) string {
	id = strings.TrimPrefix(id, "sha256:")
	return id[:min(len(id), 12)]
}
