// Package sandboxtest gives tests a launcher of their own on the real kernel: other directories, control groups and network
// than any server on the machine, and a way to see that nothing is left of it.
package sandboxtest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"syscall"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"berth/runtime/engine"
)

// inNamespace is set for the tests that run in a network namespace of their own.
const inNamespace = "BERTH_TEST_NETNS"

// Main is the TestMain of packages that launch sandboxes. The launcher starts its own program again as `sandbox ID`, which
// in a test is the test binary. The tests run in a network namespace of their own, so that nothing touches the
// machine's; it has a loopback and, as every network does, a way to reach what is in it.
func Main(m *testing.M) {
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case "sandbox":
			exit(engine.Run(context.Background(), "test", slog.New(slog.NewTextHandler(os.Stderr, nil))))
		case "launch-and-die":
			exit(launchAndDie(os.Args[2], os.Args[3]))
		}
	}
	if os.Geteuid() != 0 {
		os.Exit(m.Run()) // without root every test that needs it is skipped
	}
	if os.Getenv(inNamespace) != "" {
		if err := up(); err != nil {
			exit(err)
		}
		os.Exit(m.Run())
	}
	os.Exit(again())
}

func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// again runs this program in a new network namespace.
func again() int {
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...) //nolint:noctx // Pdeathsig ends it
	cmd.Args[0] = os.Args[0]
	cmd.Env = append(os.Environ(), inNamespace+"=1")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNET, Pdeathsig: unix.SIGKILL}
	err := cmd.Run()
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		return max(exit.ExitCode(), 1)
	case err != nil:
		fmt.Fprintln(os.Stderr, "run the tests in a network namespace:", err)
		return 1
	}
	return 0
}

// up brings the loopback up, which a new network namespace has but down.
func up() error {
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return err
	}
	return netlink.LinkSetUp(lo)
}
