package cgroup_test

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	goruntime "runtime"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"berth/quotas/cgroup"
)

func TestInsideIsRootOfItsView(t *testing.T) {
	g := create(t, instance(t), "view", limits)
	cmd, out := command(t, "report")
	if err := g.Start(cmd, leaveChroot); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	var r reportOf
	if err := json.Unmarshal([]byte(out.String()), &r); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for line := range strings.Lines(r.Cgroup) {
		if strings.Contains(line, "name=") {
			continue // systemd's own book-keeping; limits nothing
		}
		if !strings.HasSuffix(strings.TrimSpace(line), ":/") {
			t.Errorf("not the root of what it sees: %s", line)
		}
	}
	if want := int(math.Ceil(limits.CPUs)); r.CPUs != want {
		t.Errorf("%d CPUs, want %d", r.CPUs, want)
	}
	if len(r.Subs) < 4 {
		t.Errorf("groups could be made only below %v", r.Subs)
	}
}

func TestMemoryBombDiesInside(t *testing.T) {
	g := create(t, instance(t), "memory", limits)
	cmd, out := command(t, "memory")
	if err := g.Start(cmd, leaveChroot); err != nil {
		t.Fatal(err)
	}
	var exit *exec.ExitError
	if err := cmd.Wait(); !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != unix.SIGKILL {
		t.Fatalf("ended with %v, want SIGKILL: %s", err, out)
	}
	u, err := g.Usage()
	if err != nil {
		t.Fatal(err)
	}
	if u.OOMKills < 1 || u.CPU <= 0 {
		t.Errorf("usage %+v: want an OOM kill and CPU time", u)
	}
}

func TestForkBombIsRefused(t *testing.T) {
	l := limits
	l.MemoryBytes = 1 << 30 // so that memory is not what ends it: each process is a whole Go program
	g := create(t, instance(t), "forks", l)
	cmd, out := command(t, "forks")
	if err := g.Start(cmd, leaveChroot); err != nil {
		t.Fatal(err)
	}
	// Go itself may fail to start a thread at the limit and crash: refused all the same.
	err := cmd.Wait()
	u, uerr := g.Usage()
	if uerr != nil {
		t.Fatal(uerr)
	}
	if u.PIDsRefused < 1 || u.PIDs > limits.PIDs {
		t.Errorf("usage %+v after %v: %s", u, err, out)
	}
}

// TestGroupsAreBounded: the kernel has 65535 memory groups for the whole host, and one sandbox must not take them all.
func TestGroupsAreBounded(t *testing.T) {
	g := create(t, instance(t), "groups", limits)
	if g.Version == 1 {
		t.Skip("version 1 has no such limit")
	}
	var err error
	made := 0
	for ; err == nil && made < 5000; made++ {
		err = os.Mkdir(filepath.Join(g.Dirs[0].Path, fmt.Sprint(made)), 0o755)
	}
	if !errors.Is(err, unix.EAGAIN) || made < 500 {
		t.Errorf("after %d groups: %v", made, err)
	}
}

func TestKillAndRemoveOfATreeAfterRestart(t *testing.T) {
	g := create(t, instance(t), "tree", limits)
	cmd, _ := command(t, "tree")
	cmd.Stdout = nil
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := g.Start(cmd, leaveChroot); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(pipe).ReadString('\n'); err != nil || line != "ready\n" {
		rest, _ := io.ReadAll(pipe)
		t.Fatalf("%q %v %s", line, err, rest)
	}
	b, err := json.Marshal(g)
	if err != nil {
		t.Fatal(err)
	}
	var again cgroup.Group
	if err := json.Unmarshal(b, &again); err != nil {
		t.Fatal(err)
	}
	if u, err := again.Usage(); err != nil || u.PIDs < 2 || u.MemoryBytes <= 0 {
		t.Errorf("usage %+v, %v", u, err)
	}
	for range 2 { // the second time there is nothing left to do
		if err := again.Kill(t.Context()); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait()
		if err := again.Remove(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	for _, d := range again.Dirs {
		if _, err := os.Stat(d.Path); !os.IsNotExist(err) {
			t.Errorf("%s is left", d.Path)
		}
	}
}

func TestFailedCreateLeavesNothing(t *testing.T) {
	in := instance(t)
	for name, change := range map[string]func(){
		"pids":   func() { limits.PIDs = -1 },
		"memory": func() { limits.MemoryBytes = -5 },
	} {
		saved := limits
		change()
		_, err := in.Create(t.Context(), name, limits, mappedRoot, mappedRoot)
		limits = saved
		if err == nil {
			t.Errorf("%s: no error", name)
		}
		if names, err := in.List(); err != nil || len(names) > 0 {
			t.Errorf("%s: left %v, %v", name, names, err)
		}
	}
}

func TestCreateRefusesNamesAndTwins(t *testing.T) {
	in := instance(t)
	create(t, in, "twin", limits)
	if _, err := in.Create(t.Context(), "twin", limits, mappedRoot, mappedRoot); !errors.Is(err, os.ErrExist) {
		t.Errorf("second of a name: %v", err)
	}
	for _, name := range []string{"", "..", "a/b", "UPPER", strings.Repeat("x", 64)} {
		if _, err := in.Create(t.Context(), name, limits, mappedRoot, mappedRoot); err == nil {
			t.Errorf("name %q was taken", name)
		}
	}
	if names, err := in.List(); err != nil || len(names) != 1 || names[0] != "twin" {
		t.Errorf("list: %v, %v", names, err)
	}
}

func TestCPUsAreSpread(t *testing.T) {
	if goruntime.NumCPU() < 2 {
		t.Skip("one CPU")
	}
	in := instance(t)
	used := map[string]int{}
	for _, name := range []string{"a", "b", "c", "d"} {
		g := create(t, in, name, limits)
		for _, d := range g.Dirs {
			if b, err := os.ReadFile(filepath.Join(d.Path, "cpuset.cpus")); err == nil {
				used[strings.TrimSpace(string(b))]++
			}
		}
	}
	for cpu, n := range used {
		if n > (4+goruntime.NumCPU()-1)/goruntime.NumCPU() {
			t.Errorf("CPU %s has %d of 4 groups: %v", cpu, n, used)
		}
	}
}

// The thread that forks must be gone afterwards, or the group could never be removed and Kill would find the server.
func TestStartLeavesNoThreadInside(t *testing.T) {
	in := instance(t)
	for range 50 {
		g := create(t, in, "thread", limits)
		cmd := exec.CommandContext(t.Context(), "/bin/true")
		if err := g.Start(cmd, leaveChroot); err != nil {
			t.Fatal(err)
		}
		if err := cmd.Wait(); err != nil {
			t.Fatal(err)
		}
		end(t, g)
	}
}

func TestStartRefusesPdeathsig(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), "/bin/true")
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: unix.SIGKILL}
	if err := (&cgroup.Group{}).Start(cmd, nil); err == nil {
		t.Error("Pdeathsig was taken")
	}
}

func BenchmarkCreateRemove(b *testing.B) {
	in := instance(b)
	for b.Loop() {
		g, err := in.Create(b.Context(), "bench", limits, mappedRoot, mappedRoot)
		if err != nil {
			b.Fatal(err)
		}
		if err := g.Remove(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkStart(b *testing.B) {
	g := create(b, instance(b), "bench", limits)
	for b.Loop() {
		cmd := exec.CommandContext(b.Context(), "/bin/true")
		if err := g.Start(cmd, leaveChroot); err != nil {
			b.Fatal(err)
		}
		if err := cmd.Wait(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkUsage(b *testing.B) {
	g := create(b, instance(b), "bench", limits)
	for b.Loop() {
		if _, err := g.Usage(); err != nil {
			b.Fatal(err)
		}
	}
}

// TestServersComeAndGo: servers of one host have a directory above theirs in common, which the last that ends removes.
func TestServersComeAndGo(t *testing.T) {
	instance(t) // skips, and counts what is left
	var servers sync.WaitGroup
	for i := range 4 {
		host, err := cgroup.Detect("/sys/fs/cgroup")
		if err != nil {
			t.Fatal(err)
		}
		in, err := host.Instance(fmt.Sprintf("test-%d-%d", os.Getpid(), i))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = in.Release() })
		servers.Go(func() {
			for range 50 {
				g, err := in.Create(t.Context(), "s", limits, mappedRoot, mappedRoot)
				if err != nil {
					t.Error(err)
					return
				}
				if err := errors.Join(g.Remove(t.Context()), in.Release()); err != nil {
					t.Error(err)
				}
			}
		})
	}
	servers.Wait()
}
