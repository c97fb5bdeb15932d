package sandboxtest

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"testing"

	"golang.org/x/sys/unix"

	"berth/runtime/sandbox"
	"berth/sessions"
)

// LaunchAndDie launches a sandbox in a process of its own that kills itself (SIGKILL) before a step of the launch: what a
// server leaves that is killed at that moment.
func (h *Host) LaunchAndDie(t *testing.T, step string) {
	t.Helper()
	where, err := json.Marshal(h.place)
	check(t, err)
	cmd := exec.CommandContext(t.Context(), "/proc/self/exe", "launch-and-die", step, string(where))
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != -1 {
		t.Fatalf("the launcher was not killed at %s: %v, %s", step, err, out)
	}
}

// launchAndDie is the other process. It returns only when it fails.
func launchAndDie(step, where string) error {
	var p place
	if err := json.Unmarshal([]byte(where), &p); err != nil {
		return err
	}
	config, err := p.config()
	if err != nil {
		return err
	}
	config.Trace = func(s string) error {
		if s == step {
			return unix.Kill(os.Getpid(), unix.SIGKILL)
		}
		return nil
	}
	l, err := sandbox.New(context.Background(), config)
	if err != nil {
		return err
	}
	_, err = l.Launch(context.Background(), sessions.NewID(), Spec())
	return err
}
