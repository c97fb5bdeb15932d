// Command docker-init is the first process of a container: it starts its arguments as a program, passes signals on to it,
// reaps what is orphaned, and exits as the program did. Without arguments it only reaps, until SIGTERM.
package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime/debug"

	"golang.org/x/sys/unix"
)

// Exit codes for a program that cannot be started: shells' convention.
const (
	cannotRun = 126
	notFound  = 127
)

// foreground is what docker-init calls itself on the way to a program that gets the terminal: its arguments are the path
// of the program and then the program's own.
const foreground = "docker-init: to the foreground"

func main() {
	debug.SetGCPercent(-1) // it allocates nothing worth collecting
	if os.Args[0] == foreground {
		become(os.Args[1], os.Args[2:])
	}
	signals := make(chan os.Signal, 32)
	signal.Notify(signals)
	ended := make(chan os.Signal, 1) // one in it says all there is to say; a flood of other signals must not crowd it out
	signal.Notify(ended, unix.SIGCHLD)
	signal.Ignore(unix.SIGTTIN, unix.SIGTTOU) // handing over the terminal must not stop us
	child := 0
	if len(os.Args) > 1 {
		child = start(os.Args[1:])
	}
	for {
		select {
		case <-ended:
			reap(child)
		case s := <-signals:
			pass(s, child)
		}
	}
}

// pass hands a signal on to the program.
func pass(s os.Signal, child int) {
	sig, ok := s.(unix.Signal)
	switch {
	case !ok || sig == unix.SIGURG || sig == unix.SIGCHLD: // SIGURG: the Go runtime's own
	case child != 0:
		_ = unix.Kill(child, sig) // it has just ended: SIGCHLD says so
	case sig == unix.SIGTERM:
		os.Exit(0)
	}
}

// start starts the program in a process group of its own, in the foreground of the terminal if there is one.
func start(argv []string) int {
	path, err := exec.LookPath(argv[0])
	if err != nil {
		fmt.Fprintln(os.Stderr, "docker-init:", err)
		if errors.Is(err, exec.ErrNotFound) || errors.Is(err, os.ErrNotExist) {
			os.Exit(notFound)
		}
		os.Exit(cannotRun)
	}
	attr := &os.ProcAttr{Files: []*os.File{os.Stdin, os.Stdout, os.Stderr}, Sys: &unix.SysProcAttr{Setpgid: true}}
	if _, err := unix.IoctlGetTermios(0, unix.TCGETS); err == nil {
		attr.Sys.Foreground = true
		path, argv = "/proc/self/exe", append([]string{foreground, path}, argv...)
	}
	p, err := os.StartProcess(path, argv, attr)
	if err != nil {
		fmt.Fprintln(os.Stderr, "docker-init:", err)
		os.Exit(cannotRun)
	}
	return p.Pid
}

// become replaces this process, which has the terminal, by the program. It inherited ignored signals, without which it
// would have been stopped before it had the terminal; a program that ignores them has no job control. execve(2) resets the
// signals that are caught, not those that are ignored.
func become(path string, argv []string) {
	caught := make(chan os.Signal, 1)
	signal.Notify(caught, unix.SIGTTIN, unix.SIGTTOU)
	err := unix.Exec(path, argv, os.Environ())
	fmt.Fprintln(os.Stderr, "docker-init:", &os.PathError{Op: "exec", Path: path, Err: err})
	os.Exit(cannotRun)
}

// reap reaps all that has ended, and exits when the program has.
func reap(child int) {
	for {
		var ws unix.WaitStatus
		pid, err := unix.Wait4(-1, &ws, unix.WNOHANG, nil)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil || pid <= 0:
			return
		case pid == child && ws.Signaled():
			os.Exit(128 + int(ws.Signal()))
		case pid == child && ws.Exited():
			os.Exit(ws.ExitStatus())
		}
	}
}
