package sessionstest

import (
	"testing"

	"berth/sessions"
)

func (s *suite) reopen(t *testing.T) {
	t.Helper()
	if s.Reopen != nil {
		s.Launcher = s.Reopen(t)
	}
}

func findAfterRestart(t *testing.T, s *suite) {
	id, _ := s.launch(t)
	s.reopen(t)
	box, err := s.Launcher.Find(s.ctx, id)
	if err != nil {
		t.Fatalf("Find: %v", err)
	}
	s.info(t, box)
	if _, err := box.Usage(s.ctx); err != nil {
		t.Errorf("Usage: %v", err)
	}
	told := make(chan sessions.Exit, 1)
	go func() {
		exit, err := box.Wait(s.ctx)
		if err != nil {
			t.Errorf("Wait: %v", err)
		}
		told <- exit
	}()
	s.close(t, box)
	<-told
	s.wantGone(t, id)
}

func findUnknown(t *testing.T, s *suite) {
	s.wantGone(t, sessions.NewID())
	if _, err := s.Launcher.Find(s.ctx, "../../etc"); err == nil {
		t.Error("Find of a path: no error")
	}
}

func sweepKeeps(t *testing.T, s *suite) {
	kept, box := s.launch(t)
	one, _ := s.launch(t)
	two, _ := s.launch(t)
	s.reopen(t)
	removed, err := s.Launcher.Sweep(s.ctx, []sessions.ID{kept})
	if err != nil {
		t.Fatalf("Sweep: %v", err)
	}
	if !sameIDs(removed, []sessions.ID{one, two}) {
		t.Errorf("Sweep removed %v, want %v and %v", removed, one, two)
	}
	s.wantGone(t, one)
	s.wantGone(t, two)
	if again, err := s.Launcher.Sweep(s.ctx, []sessions.ID{kept}); err != nil || len(again) > 0 {
		t.Errorf("a second Sweep removed %v, %v", again, err)
	}
	s.info(t, box)
	found, err := s.Launcher.Find(s.ctx, kept)
	if err != nil {
		t.Fatalf("Find of what was kept: %v", err)
	}
	s.close(t, found)
}

func manyAtOnce(t *testing.T, s *suite) {
	const n = 4
	boxes := make([]sessions.Sandbox, n)
	together(n, func(i int) {
		box, err := s.Launcher.Launch(s.ctx, sessions.NewID(), s.Spec)
		if err != nil {
			t.Errorf("Launch %d: %v", i, err)
			return
		}
		boxes[i] = box
	})
	if t.Failed() {
		return
	}
	for _, box := range boxes {
		s.info(t, box)
	}
	s.close(t, boxes[0])
	s.info(t, boxes[1]) // closing one leaves the others alone
	together(n, func(i int) { s.close(t, boxes[i]) })
}

func capacity(t *testing.T, s *suite) {
	c, err := s.Launcher.Capacity(s.ctx)
	if err != nil {
		t.Fatalf("Capacity: %v", err)
	}
	if c.CPUs <= 0 || c.MemoryBytes <= 0 || c.DiskFree <= 0 {
		t.Errorf("capacity %+v: nothing would fit", c)
	}
}
