// Command berth is a self-hosted container playground: the server, the sandbox and the tools around them.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"

	"github.com/alecthomas/kong"
	"golang.org/x/sys/unix"
)

// cli is every command, one file each.
type cli struct {
	Version kong.VersionFlag `help:"Print the version and exit."`

	Doctor      doctorCmd      `cmd:"" help:"Say what this host has and lacks for sandboxes, and how to mend it."`
	DoctorProbe doctorProbeCmd `cmd:"" hidden:""`
}

// exitStatus is an error that carries the status to exit with and has been told already.
type exitStatus int

func (s exitStatus) Error() string { return fmt.Sprintf("exit status %d", int(s)) }

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), unix.SIGTERM, unix.SIGINT)
	code := run(ctx, os.Args[1:])
	stop()
	os.Exit(code)
}

func run(ctx context.Context, args []string) int {
	var c cli
	parser, err := kong.New(&c,
		kong.Name("berth"),
		kong.Description("A container playground: a Linux machine with Docker, in the browser."),
		kong.DefaultEnvars("BERTH"),
		kong.Vars{"version": version()},
		kong.UsageOnError(),
	)
	if err != nil {
		fmt.Fprintln(os.Stderr, "berth:", err)
		return 1
	}
	k, err := parser.Parse(args)
	if err != nil {
		parser.FatalIfErrorf(err)
	}
	k.BindTo(ctx, (*context.Context)(nil))
	err = k.Run()
	var status exitStatus
	switch {
	case errors.As(err, &status):
		return int(status)
	case err != nil:
		fmt.Fprintln(os.Stderr, "berth:", err)
		return 1
	}
	return 0
}
