// Command bench measures Berth on this machine against what it is compared with, in one run: `runc run`, `docker run`
// where dockerd is installed, and a PTY read directly. Samples of both sides alternate, so that whatever else the
// machine does meets both. It is a report: it exits 0 unless it cannot measure, or --strict is given and a goal is missed.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"syscall"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// inNamespace is set for the process that has a network namespace of its own.
const inNamespace = "BERTH_BENCH_NETNS"

// options are how much is measured.
type options struct {
	strict  bool
	starts  int // samples of each way to start
	strokes int // keystrokes of each kind
	bytes   int // through a terminal, in each sample
	idle    int // sessions
	burst   int // sessions at once
	verbose bool
	only    string
}

func main() {
	var o options
	flag.BoolVar(&o.strict, "strict", false, "exit 1 when a goal is missed")
	flag.IntVar(&o.starts, "starts", 20, "samples of each way to start")
	flag.IntVar(&o.strokes, "strokes", 1000, "keystrokes, idle and beside a busy neighbour")
	flag.IntVar(&o.bytes, "bytes", 200<<20, "bytes through a terminal in each sample")
	flag.IntVar(&o.idle, "idle", 50, "idle sessions")
	flag.IntVar(&o.burst, "burst", 30, "sessions opened at once")
	flag.BoolVar(&o.verbose, "v", false, "show the server's log")
	flag.StringVar(&o.only, "only", "", "measure only: starts, echo, throughput, docker, build, typing, inspector, burst or idle")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), unix.SIGTERM, unix.SIGINT)
	code, err := run(ctx, o, flag.Args())
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		code = 2
	}
	os.Exit(code)
}

func run(ctx context.Context, o options, args []string) (int, error) {
	if len(args) > 0 {
		switch args[0] {
		case "neighbour":
			return 0, beNeighbour(ctx, args[1:], os.Stdin)
		case "direct":
			return 0, beDirect(ctx, o)
		}
		return 0, fmt.Errorf("unknown argument %q", args[0])
	}
	if os.Geteuid() != 0 {
		return 0, errors.New("sandboxes are made of namespaces and control groups: run it as root")
	}
	if os.Getenv(inNamespace) == "" {
		return again()
	}
	if err := loopbackUp(); err != nil {
		return 0, err
	}
	r := &report{out: os.Stdout}
	if err := measure(ctx, o, r); err != nil {
		return 0, err
	}
	r.print()
	if o.strict && r.missed() > 0 {
		return 1, nil
	}
	return 0, nil
}

// again runs this program in a network namespace of its own: nothing touches the machine's.
func again() (int, error) {
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...) //nolint:noctx // it runs as long as this one waits
	cmd.Args[0] = os.Args[0]
	cmd.Env = append(os.Environ(), inNamespace+"=1")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNET}
	err := cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return max(exit.ExitCode(), 1), nil
	}
	return 0, err
}

func loopbackUp() error {
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return err
	}
	return netlink.LinkSetUp(lo)
}

// measure takes all measurements, one after the other, on one server.
func measure(ctx context.Context, o options, r *report) (err error) {
	b, err := newBench(ctx, o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.close()) }()
	for _, step := range []struct {
		name string
		do   func(context.Context, *report) error
	}{{"starts", b.starts}, {"echo", b.echo}, {"throughput", b.throughput}, {"docker", b.dockerHost}, {"build", b.builds}, {"typing", b.buildsBesideTyping}, {"inspector", b.inspector}, {"burst", b.burst}, {"idle", b.idle}} {
		if o.only != "" && o.only != step.name {
			continue
		}
		if err := step.do(ctx, r); err != nil {
			return fmt.Errorf("%s: %w", step.name, err)
		}
	}
	return nil
}

// note tells how far the run is.
func note(format string, args ...any) { fmt.Fprintf(os.Stderr, "bench: "+format+"\n", args...) }
