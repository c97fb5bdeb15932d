package cgroup

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	goruntime "runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// Dir is a group's directory in one hierarchy.
type Dir struct {
	Controllers []string `json:"controllers,omitempty"` // version 1; none: version 2
	Path        string   `json:"path"`                  // absolute
}

// Group is the control group of one sandbox. It is plain data; all its methods work on a copy read back from JSON.
type Group struct {
	Version int    `json:"version"`
	Name    string `json:"name"`
	Dirs    []Dir  `json:"dirs"`

	seen tally
}

// Start starts cmd inside the group. With CLONE_NEWCGROUP in its SysProcAttr the group is the root of what it sees.
// It is born there, because moving it later costs an RCU wait of about 12 ms for each hierarchy. SysProcAttr.Pdeathsig
// must not be set: the thread that starts the process ends at once. Where prepare is not nil it is called on that thread
// first: what it does to the thread's own namespaces is what the process is cloned from.
func (g *Group) Start(cmd *exec.Cmd, prepare func() error) error {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	attr := cmd.SysProcAttr
	if attr.Pdeathsig != 0 {
		return errors.New("start in control group: Pdeathsig cannot be used")
	}
	if attr.Cloneflags&unix.CLONE_NEWCGROUP != 0 {
		// At clone the namespace would be rooted in the parent's group (kernel, copy_cgroup_ns: current is the parent).
		attr.Cloneflags &^= unix.CLONE_NEWCGROUP
		attr.Unshareflags |= unix.CLONE_NEWCGROUP
	}
	if unified := g.unified(); unified != "" {
		fd, err := os.OpenFile(unified, unix.O_PATH|unix.O_DIRECTORY, 0)
		if err != nil {
			return fmt.Errorf("start in control group %s: %w", g.Name, err)
		}
		defer fd.Close()
		attr.UseCgroupFD, attr.CgroupFD = true, int(fd.Fd())
	}
	return g.onThread(func() error {
		if prepare != nil {
			if err := prepare(); err != nil {
				return err
			}
		}
		return cmd.Start()
	})
}

// unified is the group's directory in the version 2 tree; empty on a host without one.
func (g *Group) unified() string {
	for _, d := range g.Dirs {
		if len(d.Controllers) == 0 {
			return d.Path
		}
	}
	return ""
}

// onThread calls start on a thread that has entered the version 1 groups, and throws the thread away.
func (g *Group) onThread(start func() error) error {
	done := make(chan error, 1)
	go func() {
		goruntime.LockOSThread() // never unlocked: the thread ends with this goroutine, nothing else may run on it
		if unix.Gettid() == os.Getpid() {
			// The main thread cannot end: it would stay in the sandbox's groups, and be killed with them. While it is
			// held here, the next goroutine runs on another.
			err := g.onThread(start)
			goruntime.UnlockOSThread()
			done <- err
			return
		}
		err := g.enterThread()
		if err == nil {
			err = start()
		}
		done <- err
	}()
	return <-done
}

// enterThread moves the calling thread into the version 1 groups. "0" is the writer itself: the one case in which the
// kernel needs no lock on all of the process's threads, and so no RCU wait.
func (g *Group) enterThread() error {
	for _, d := range g.Dirs {
		if len(d.Controllers) == 0 {
			continue
		}
		if err := write(d.Path, "tasks", "0"); err != nil {
			return fmt.Errorf("enter control group %s: %w", g.Name, err)
		}
	}
	return nil
}
