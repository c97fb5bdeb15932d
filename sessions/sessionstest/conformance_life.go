package sessionstest

import (
	"context"
	"testing"
	"time"

	"berth/sessions"
)

func answers(t *testing.T, s *suite) {
	_, box := s.launch(t)
	defer s.close(t, box)
	s.info(t, box)
	s.info(t, box)
	u, err := box.Usage(s.ctx)
	if err != nil {
		t.Fatalf("Usage: %v", err)
	}
	l := s.Spec.Limits
	if time.Since(u.At).Abs() > time.Minute {
		t.Errorf("usage is of %s, not of now", u.At)
	}
	if u.MemoryBytes <= 0 || u.MemoryBytes > l.MemoryBytes || u.PIDs < 1 || u.PIDs > l.PIDs {
		t.Errorf("usage %+v is not within the limits %+v", u, l)
	}
	if u.DiskBytes < 0 || u.DiskFree <= 0 || u.DiskBytes+u.DiskFree > l.DiskBytes || u.InodesFree <= 0 || u.InodesFree > l.DiskInodes {
		t.Errorf("usage of the disk %+v is not within the limits %+v", u, l)
	}
	if u.OOMKills != 0 || u.PIDsRefused != 0 {
		t.Errorf("a new sandbox has met its limits already: %+v", u)
	}
}

func closeIsIdempotent(t *testing.T, s *suite) {
	id, box := s.launch(t)
	for range 3 {
		s.close(t, box)
	}
	s.wantGone(t, id)
	if conn, err := box.Dial(s.ctx); err == nil {
		t.Error("Dial after Close: no error")
		_ = conn.Close()
	}
}

func closeAtOnce(t *testing.T, s *suite) {
	id, box := s.launch(t)
	together(4, func(int) { s.close(t, box) })
	s.wantGone(t, id)
}

func waitTellsClose(t *testing.T, s *suite) {
	_, box := s.launch(t)
	told := make(chan error, 1)
	var exit sessions.Exit
	go func() {
		var err error
		exit, err = box.Wait(s.ctx)
		told <- err
	}()
	s.close(t, box)
	if err := <-told; err != nil || exit.Reason != sessions.Closed {
		t.Errorf("Wait: %+v, %v, want closed", exit, err)
	}
	if exit, err := box.Wait(s.ctx); err != nil || exit.Reason != sessions.Closed {
		t.Errorf("Wait after the end: %+v, %v, want closed", exit, err)
	}
}

func waitTellsCrash(t *testing.T, s *suite) {
	if s.Kill == nil {
		t.Skip("this launcher's sandboxes cannot be killed from outside")
	}
	id, box := s.launch(t)
	s.Kill(t, id)
	exit, err := box.Wait(s.ctx)
	if err != nil || exit.Reason != sessions.Crashed {
		t.Errorf("Wait: %+v, %v, want crashed", exit, err)
	}
	s.wantGone(t, id)
	s.close(t, box)
}

func waitHonoursContext(t *testing.T, s *suite) {
	_, box := s.launch(t)
	defer s.close(t, box)
	ctx, cancel := context.WithCancel(s.ctx)
	cancel()
	if _, err := box.Wait(ctx); err == nil {
		t.Error("Wait returned without an error, and the sandbox runs")
	}
	s.info(t, box)
}

func launchHonoursContext(t *testing.T, s *suite) {
	for _, after := range []time.Duration{0, time.Millisecond, 5 * time.Millisecond, 20 * time.Millisecond} {
		id := sessions.NewID()
		ctx, cancel := context.WithTimeout(s.ctx, after)
		box, err := s.Launcher.Launch(ctx, id, s.Spec)
		cancel()
		switch {
		case err != nil:
			s.wantGone(t, id)
		case after == 0:
			t.Error("Launch with a context that had ended: no error")
			s.close(t, box)
		default: // it was faster than its context
			s.info(t, box)
			s.close(t, box)
		}
	}
}

func launchRefusesBadID(t *testing.T, s *suite) {
	for _, id := range []sessions.ID{"", "..", "../../etc", "ABCDEFGHIJKL", "abcdefghijk/"} {
		if box, err := s.Launcher.Launch(s.ctx, id, s.Spec); err == nil {
			t.Errorf("Launch of %q: no error", id)
			s.close(t, box)
		}
	}
}

func launchRefusesTwins(t *testing.T, s *suite) {
	id, box := s.launch(t)
	defer s.close(t, box)
	if twin, err := s.Launcher.Launch(s.ctx, id, s.Spec); err == nil {
		t.Error("two sandboxes of one ID")
		s.close(t, twin)
	}
	s.info(t, box) // the first one is unharmed
}

func sameIDAgain(t *testing.T, s *suite) {
	id, box := s.launch(t)
	s.close(t, box)
	again, err := s.Launcher.Launch(s.ctx, id, s.Spec)
	if err != nil {
		t.Fatalf("Launch of an ID that was closed: %v", err)
	}
	s.info(t, again)
	s.close(t, box) // the handle of the first: it must not touch the second
	s.info(t, again)
	s.close(t, again)
}
