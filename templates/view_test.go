package templates_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"berth/sessions"
	"berth/templates"
)

func TestBytes(t *testing.T) {
	for n, want := range map[int64]string{0: "0 B", 1023: "1023 B", 1024: "1 KB", 1536: "1.5 KB", 512 << 20: "512 MB", 2 << 30: "2 GB", 5 << 40: "5 TB", 5 << 50: "5120 TB"} {
		if got := templates.Bytes(n); got != want {
			t.Errorf("Bytes(%d) = %q, want %q", n, got, want)
		}
	}
}

func TestDuration(t *testing.T) {
	for d, want := range map[time.Duration]string{0: "0 s", 20 * time.Second: "20 s", 45 * time.Minute: "45 min", 90 * time.Minute: "1 h 30 min", 3 * time.Hour: "3 h", 61 * time.Second: "1 min 1 s"} {
		if got := templates.Duration(d); got != want {
			t.Errorf("Duration(%v) = %q, want %q", d, got, want)
		}
	}
}

// Every reason has words of its own, and the session's own message comes first.
func TestWhy(t *testing.T) {
	seen := map[string]sessions.Reason{}
	for _, r := range []sessions.Reason{sessions.Expired, sessions.Idle, sessions.Closed, sessions.Admin, sessions.OutOfMemory, sessions.DiskFull, sessions.Crashed, sessions.Policy, ""} {
		heading, sentence := templates.Why(sessions.Session{Reason: r})
		if heading == "" || sentence == "" {
			t.Errorf("%q has no words", r)
		}
		if other, twice := seen[heading]; twice {
			t.Errorf("%q and %q have the same heading", r, other)
		}
		seen[heading] = r
		if _, s := templates.Why(sessions.Session{Reason: r, Message: "This."}); s != "This." {
			t.Errorf("%q: the session's message is lost", r)
		}
		if h, s := templates.Why(sessions.Session{Reason: r, Message: heading + "."}); s == h+"." {
			t.Errorf("%q: the page says the same twice: %s", r, s)
		}
	}
}

// What others wrote is text, never markup.
func TestPagesEscape(t *testing.T) {
	bad := `<script>"'&`
	page := templates.Page{Title: bad, Nonce: "n", Asset: func(string) string { return "/x" }}
	s := sessions.Session{ID: "aaaaaaaaaaaa", Environment: bad, Message: bad, State: sessions.Ready, Reason: sessions.Crashed}
	env := sessions.Environment{Name: bad, Title: bad, Description: bad}
	for name, render := range map[string]func(*bytes.Buffer) error{
		"home": func(b *bytes.Buffer) error {
			return templates.HomePage(templates.Home{Page: page, Environments: []sessions.Environment{env}, Mine: []sessions.Session{s}, Unavailable: bad}).Render(t.Context(), b)
		},
		"session": func(b *bytes.Buffer) error {
			return templates.SessionPage(templates.Session{Page: page, Session: s, Environment: env}).Render(t.Context(), b)
		},
		"ended": func(b *bytes.Buffer) error {
			return templates.EndedPage(templates.Session{Page: page, Session: s, Environment: env}).Render(t.Context(), b)
		},
		"problem": func(b *bytes.Buffer) error {
			return templates.ProblemPage(templates.Problem{Page: page, Heading: bad, Detail: bad}).Render(t.Context(), b)
		},
	} {
		var b bytes.Buffer
		if err := render(&b); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if strings.Contains(b.String(), bad) || strings.Contains(b.String(), `<script>"`) || !strings.Contains(b.String(), "&lt;script&gt;") {
			t.Errorf("%s does not escape", name)
		}
	}
}
