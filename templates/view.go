// Package templates are the pages. They work without scripts as far as a page can: forms and links do everything but the
// terminal itself. The _templ.go files are made by `make gen` from the .templ files and committed.
package templates

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"berth/sessions"
)

//go:generate go run github.com/a-h/templ/cmd/templ@v0.3.977 generate

// Page is what every page needs.
type Page struct {
	Title string
	Nonce string                   // for the styles that xterm.js makes; only the session page hands it out
	Asset func(name string) string // URL of an embedded file
}

// Home is the first page.
type Home struct {
	Page
	Environments []sessions.Environment
	Mine         []sessions.Session // that have not ended
	Status       sessions.Status
	Unavailable  string // why sessions cannot be created; "": they can
}

// Session is the page of a session, in whatever state it is.
type Session struct {
	Page
	Session     sessions.Session
	Environment sessions.Environment
	Now         time.Time
}

// Problem is a page that says what went wrong and what to do.
type Problem struct {
	Page
	Status    int
	Heading   string
	Detail    string
	RequestID string
}

// free says how many places are left, in words.
func (h Home) free() string {
	if h.Status.Capacity <= 0 {
		return ""
	}
	left := h.Status.Capacity - h.Status.Sessions
	if left > 0 && h.Status.Queued == 0 {
		return fmt.Sprintf("%d free of %d", left, h.Status.Capacity)
	}
	return fmt.Sprintf("all %d places taken, %d waiting", h.Status.Capacity, h.Status.Queued)
}

// ends says how long sessions last: one time where all environments agree, else the range.
func (h Home) ends() string {
	var least, most time.Duration
	for _, e := range h.Environments {
		if least == 0 || e.Lifetime < least {
			least = e.Lifetime
		}
		most = max(most, e.Lifetime)
	}
	switch {
	case most == 0:
		return ""
	case least == most:
		return "ends after " + Duration(most)
	}
	return "ends after " + Duration(least) + " to " + Duration(most)
}

func limitsLine(e sessions.Environment) string {
	l := e.Limits
	cpus := strconv.FormatFloat(l.CPUs, 'g', 3, 64) + " CPU"
	if l.CPUs > 1 {
		cpus += "s"
	}
	return strings.Join([]string{cpus, Bytes(l.MemoryBytes) + " memory", Bytes(l.DiskBytes) + " disk", Duration(e.Lifetime)}, " · ")
}

// Bytes writes a size as people say it, in powers of 1024.
func Bytes(n int64) string {
	units := []string{"B", "KB", "MB", "GB", "TB"}
	v, u := float64(n), 0
	for v >= 1024 && u < len(units)-1 {
		v, u = v/1024, u+1
	}
	if v >= 10 || v == float64(int64(v)) {
		return fmt.Sprintf("%.0f %s", v, units[u])
	}
	return fmt.Sprintf("%.1f %s", v, units[u])
}

// Duration writes a time in the largest units that matter: "45 min", "1 h 30 min", "20 s".
func Duration(d time.Duration) string {
	d = d.Round(time.Second)
	h, m, s := int(d/time.Hour), int(d%time.Hour/time.Minute), int(d%time.Minute/time.Second)
	var parts []string
	if h > 0 {
		parts = append(parts, fmt.Sprintf("%d h", h))
	}
	if m > 0 {
		parts = append(parts, fmt.Sprintf("%d min", m))
	}
	if h == 0 && (s > 0 || m == 0) {
		parts = append(parts, fmt.Sprintf("%d s", s))
	}
	return strings.Join(parts, " ")
}

// remaining is the countdown as of this moment, for those without scripts.
func (s Session) remaining() string {
	if s.Session.ExpiresAt.IsZero() {
		return ""
	}
	return Duration(max(0, s.Session.ExpiresAt.Sub(s.Now)))
}

func (s Session) canExtend() bool {
	return s.Session.MaxExpiresAt.IsZero() || s.Session.ExpiresAt.Before(s.Session.MaxExpiresAt)
}

func (s Session) name() string {
	if s.Environment.Title != "" {
		return s.Environment.Title
	}
	return s.Session.Environment
}

// data is what the page's script starts from.
func (s Session) data() (string, error) {
	b, err := json.Marshal(map[string]any{
		"session": s.Session, "title": s.name(), "now": s.Now.UnixMilli(), "lifetime": s.Environment.Lifetime.Milliseconds(),
	})
	return string(b), err
}

// Why says why a session ended, and what follows from it.
func Why(s sessions.Session) (heading, sentence string) {
	switch s.Reason {
	case sessions.Expired:
		heading, sentence = "Time is up", "The session reached its end."
	case sessions.Idle:
		heading, sentence = "Ended while nobody was here", "No page and no program was connected for a while, so the place was given on."
	case sessions.Closed:
		heading, sentence = "You ended this session", "It was ended from the page or by a command."
	case sessions.Admin:
		heading, sentence = "Ended by the operator", "The operator of this server ended the session."
	case sessions.OutOfMemory:
		heading, sentence = "Out of memory", "The machine used all of its memory and could not go on."
	case sessions.DiskFull:
		heading, sentence = "The disk was full", "The machine used all of its disk and could not go on."
	case sessions.Crashed:
		heading, sentence = "The machine stopped", "It ended by itself, which should not happen. What it was doing is not known."
	case sessions.Policy:
		heading, sentence = "Ended by a rule of this server", "The session did something that this server does not allow."
	default:
		heading, sentence = "This session has ended", "Its time was over."
	}
	if s.Message != "" && s.Message != heading+"." { // no need to say it twice
		sentence = s.Message
	}
	return heading, sentence
}

func lasted(s sessions.Session) string {
	from := s.ReadyAt
	if from.IsZero() || s.EndedAt.IsZero() {
		return ""
	}
	return Duration(s.EndedAt.Sub(from))
}
