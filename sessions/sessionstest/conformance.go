package sessionstest

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"berth/sessions"
)

// patience is how long any step of the suite may take.
const patience = 2 * time.Minute

// Subject is a launcher under test, on a host where nothing else uses it.
type Subject struct {
	Launcher sessions.Launcher
	Spec     sessions.Spec
	// Reopen returns the launcher as the next server has it, after the first one's process has gone; nil: the suite
	// goes on with Launcher.
	Reopen func(t *testing.T) sessions.Launcher
	// Kill ends a sandbox from outside, as a crash does.
	Kill func(t *testing.T, id sessions.ID)
	// Remnants names what is left on the host of any sandbox: mounts, cgroups, interfaces, files, processes.
	// nil: nothing to look at.
	Remnants func(t *testing.T) []string
}

// RunLauncher runs the suite; fresh makes a subject for each test.
func RunLauncher(t *testing.T, fresh func(t *testing.T) Subject) {
	for _, test := range []struct {
		name string
		run  func(t *testing.T, s *suite)
	}{
		{"Answers", answers},
		{"CloseIsIdempotent", closeIsIdempotent},
		{"CloseAtOnce", closeAtOnce},
		{"WaitTellsClose", waitTellsClose},
		{"WaitTellsCrash", waitTellsCrash},
		{"WaitHonoursContext", waitHonoursContext},
		{"LaunchHonoursContext", launchHonoursContext},
		{"LaunchRefusesBadID", launchRefusesBadID},
		{"LaunchRefusesTwins", launchRefusesTwins},
		{"SameIDAgain", sameIDAgain},
		{"FindAfterRestart", findAfterRestart},
		{"FindUnknown", findUnknown},
		{"SweepKeeps", sweepKeeps},
		{"ManyAtOnce", manyAtOnce},
		{"Capacity", capacity},
	} {
		t.Run(test.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			s := &suite{Subject: fresh(t), ctx: ctx}
			test.run(t, s)
			s.sweepAll(t)
			if s.Remnants != nil {
				if left := s.Remnants(t); len(left) > 0 {
					t.Errorf("left on the host: %q", left)
				}
			}
		})
	}
}

type suite struct {
	Subject
	ctx context.Context // of this one test
}

// sweepAll checks that nothing is left for a sweep to find, unless the test said so.
func (s *suite) sweepAll(t *testing.T) {
	t.Helper()
	removed, err := s.Launcher.Sweep(s.ctx, nil)
	if err != nil {
		t.Errorf("Sweep: %v", err)
	}
	if len(removed) > 0 {
		t.Errorf("after the test there were still sandboxes: %v", removed)
	}
}

func (s *suite) launch(t *testing.T) (sessions.ID, sessions.Sandbox) {
	t.Helper()
	id := sessions.NewID()
	box, err := s.Launcher.Launch(s.ctx, id, s.Spec)
	if err != nil {
		t.Fatalf("Launch: %v", err)
	}
	return id, box
}

func (s *suite) close(t *testing.T, box sessions.Sandbox) {
	t.Helper()
	if err := box.Close(s.ctx); err != nil {
		t.Errorf("Close: %v", err)
	}
}

// info asks the sandbox's API who it is.
func (s *suite) info(t *testing.T, box sessions.Sandbox) {
	t.Helper()
	conn, err := box.Dial(s.ctx)
	if err != nil {
		t.Fatalf("Dial: %v", err)
	}
	defer func() { _ = conn.Close() }()
	if d, ok := s.ctx.Deadline(); ok {
		_ = conn.SetDeadline(d)
	}
	req, err := http.NewRequestWithContext(s.ctx, http.MethodGet, "http://sandbox/v1/info", nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := req.Write(conn); err != nil {
		t.Fatalf("ask for /v1/info: %v", err)
	}
	res, err := http.ReadResponse(bufio.NewReader(conn), req)
	if err != nil {
		t.Fatalf("answer of /v1/info: %v", err)
	}
	defer func() { _ = res.Body.Close() }()
	var info struct {
		API   int  `json:"api"`
		Ready bool `json:"ready"`
	}
	if err := json.NewDecoder(res.Body).Decode(&info); err != nil {
		t.Fatalf("/v1/info: %v", err)
	}
	if res.StatusCode != http.StatusOK || info.API != 1 || !info.Ready {
		t.Errorf("/v1/info: status %d, %+v", res.StatusCode, info)
	}
}

func (s *suite) wantGone(t *testing.T, id sessions.ID) {
	t.Helper()
	if _, err := s.Launcher.Find(s.ctx, id); !errors.Is(err, sessions.ErrNotFound) {
		t.Errorf("Find of a sandbox that is gone: %v, want ErrNotFound", err)
	}
}

// together runs f n times at once.
func together(n int, f func(i int)) {
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { f(i) })
	}
	wg.Wait()
}

func sameIDs(a, b []sessions.ID) bool {
	a, b = slices.Clone(a), slices.Clone(b)
	slices.Sort(a)
	slices.Sort(b)
	return slices.Equal(a, b)
}
