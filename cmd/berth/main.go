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
	Run    runCommand    `cmd:"" help:"Open a session and work in it, or run a command in it."`
	Ls     lsCommand     `cmd:"" help:"List sessions."`
	Exec   execCommand   `cmd:"" help:"Run a command in a session."`
	Attach attachCommand `cmd:"" help:"Join a session's terminal."`
	Docker dockerCommand `cmd:"" help:"Run docker against a session's Docker."`
	Rm     rmCommand     `cmd:"" help:"End sessions."`
	Image  imageCmd      `cmd:"" help:"Images that sessions start from."`
	Serve  serveCmd      `cmd:"" help:"Serve sessions."`
	Doctor doctorCmd     `cmd:"" help:"Say what this host has and lacks for sandboxes, and how to mend it."`

	Sandbox     sandboxCmd     `cmd:"" hidden:"" help:"The first process of a sandbox; started by serve."`
	UnpackLayer unpackLayerCmd `cmd:"" hidden:"" help:"Unpack one layer; started by berth itself."`
	DoctorProbe doctorProbeCmd `cmd:"" hidden:"" help:"Try what a sandbox does; started by doctor."`

	Version kong.VersionFlag `help:"Print the version and exit."`
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
		kong.Vars{"version": version()},
		kong.ShortUsageOnError(),
	)
	if err != nil {
		fmt.Fprintln(os.Stderr, "berth:", err)
		return 1
	}
	args, after := splitWords(args)
	k, err := parser.Parse(args)
	if err != nil {
		parser.FatalIfErrorf(err)
	}
	k.Bind(after)
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
