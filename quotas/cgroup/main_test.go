package cgroup_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	goruntime "runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"berth/quotas"
	"berth/quotas/cgroup"
	"berth/runtime/chroot"
)

// The test binary runs itself again as the process inside the group; the variable says what it does there.
const insideVar = "BERTH_TEST_INSIDE"

func TestMain(m *testing.M) {
	if mode := os.Getenv(insideVar); mode != "" {
		os.Exit(inside(mode))
	}
	os.Exit(m.Run())
}

const mappedRoot = 1_000_000_000 // first host uid of the namespaces that the tests make

var limits = quotas.Limits{CPUs: 0.5, MemoryBytes: 128 << 20, PIDs: 80}

// instance returns a corner of the host's control groups that is the test's own, and checks that nothing of it is left.
func instance(t testing.TB) *cgroup.Instance {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: makes control groups")
	}
	host, err := cgroup.Detect("/sys/fs/cgroup")
	if err != nil {
		t.Fatal(err)
	}
	in, err := host.Instance(fmt.Sprintf("test-%d-%d", os.Getpid(), time.Now().UnixNano()))
	if err != nil {
		t.Fatal(err)
	}
	before := count()
	t.Cleanup(func() {
		names, err := in.List()
		if err != nil || len(names) > 0 {
			t.Errorf("groups left: %v (%v)", names, err)
		}
		for _, name := range names {
			g, _ := in.Group(name)
			end(t, g)
		}
		if err := in.Release(); err != nil {
			t.Error(err)
		}
		if after := count(); after != before {
			t.Errorf("%d cgroups before, %d after", before, after)
		}
	})
	return in
}

// count counts the directories named after these tests, in all hierarchies.
func count() int {
	n := 0
	_ = filepath.WalkDir("/sys/fs/cgroup", func(path string, d os.DirEntry, err error) error {
		if err == nil && d.IsDir() && strings.Contains(path, fmt.Sprintf("/berth/test-%d-", os.Getpid())) {
			n++
		}
		return nil
	})
	return n
}

func create(t testing.TB, in *cgroup.Instance, name string, l quotas.Limits) *cgroup.Group {
	t.Helper()
	g, err := in.Create(t.Context(), name, l, mappedRoot, mappedRoot)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { end(t, g) })
	return g
}

func end(t testing.TB, g *cgroup.Group) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := g.Kill(ctx); err != nil {
		t.Error(err)
	}
	if err := g.Remove(ctx); err != nil {
		t.Error(err)
	}
}

// command is this binary again, doing mode, root of a user namespace of its own.
func command(t testing.TB, mode string) (*exec.Cmd, *strings.Builder) {
	var out strings.Builder
	cmd := exec.CommandContext(t.Context(), "/proc/self/exe")
	cmd.Env = []string{insideVar + "=" + mode}
	cmd.Stdout, cmd.Stderr = &out, &out
	ids := []syscall.SysProcIDMap{{ContainerID: 0, HostID: mappedRoot, Size: 65536}}
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: unix.CLONE_NEWUSER | unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWNET | unix.CLONE_NEWIPC |
			unix.CLONE_NEWUTS | unix.CLONE_NEWCGROUP,
		UidMappings: ids, GidMappings: ids, GidMappingsEnableSetgroups: true,
		Credential: &syscall.Credential{},
	}
	return cmd, &out
}

// inside is what runs in the group.
func inside(mode string) int {
	var err error
	switch mode {
	case "report":
		err = report()
	case "memory":
		var all [][]byte
		for {
			b := make([]byte, 1<<20)
			for i := 0; i < len(b); i += 4096 {
				b[i] = 1
			}
			all = append(all, b) //nolint:staticcheck // held, so that the memory is used
		}
	case "forks":
		err = forks()
	case "tree":
		err = subtree()
	case "block":
		fmt.Println("blocked")
		block()
	}
	if err != nil {
		fmt.Println(err)
		return 1
	}
	return 0
}

type reportOf struct {
	Cgroup string // /proc/self/cgroup
	CPUs   int
	Subs   []string // controllers below which a group with a limit could be made
}

// report says what the mapped root sees and may do.
func report() error {
	b, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return err
	}
	r := reportOf{Cgroup: string(b), CPUs: goruntime.NumCPU()}
	if err := unix.Mount("tmpfs", "/tmp", "tmpfs", 0, ""); err != nil {
		return fmt.Errorf("mount tmpfs: %w", err)
	}
	if hasV1(string(b)) {
		r.Subs, err = subsV1()
	} else {
		r.Subs, err = subsV2()
	}
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(r)
}

func hasV1(list string) bool { return strings.Contains(list, "memory") }

func subsV1() ([]string, error) {
	var subs []string
	for c, limit := range map[string][2]string{
		"memory": {"memory.limit_in_bytes", "33554432"}, "pids": {"pids.max", "7"}, "cpu": {"cpu.cfs_quota_us", "10000"},
		"cpuset": {}, "freezer": {"freezer.state", "FROZEN"}, "devices": {}, "blkio": {}, "cpuacct": {},
	} {
		dir := "/tmp/" + c
		if err := os.Mkdir(dir, 0o755); err != nil {
			return nil, err
		}
		if err := unix.Mount("cgroup", dir, "cgroup", 0, c); err != nil {
			return nil, fmt.Errorf("mount %s: %w", c, err)
		}
		sub := dir + "/sub"
		if err := os.Mkdir(sub, 0o755); err != nil {
			return nil, err
		}
		if limit[0] != "" {
			if err := os.WriteFile(filepath.Join(sub, limit[0]), []byte(limit[1]), 0); err != nil {
				return nil, err
			}
			// The limit of the top is not ours to change.
			if err := os.WriteFile(filepath.Join(dir, limit[0]), []byte("99999999"), 0); err == nil {
				return nil, fmt.Errorf("%s of the top group could be written", limit[0])
			}
		}
		subs = append(subs, c)
	}
	slices.Sort(subs)
	return subs, nil
}

func subsV2() ([]string, error) {
	if err := os.Mkdir("/tmp/cg", 0o755); err != nil {
		return nil, err
	}
	if err := unix.Mount("cgroup2", "/tmp/cg", "cgroup2", 0, ""); err != nil {
		return nil, fmt.Errorf("mount cgroup2: %w", err)
	}
	for _, d := range []string{"init", "sub"} {
		if err := os.Mkdir("/tmp/cg/"+d, 0o755); err != nil {
			return nil, err
		}
	}
	for _, w := range [][2]string{
		{"init/cgroup.procs", "0"},
		{"cgroup.subtree_control", "+cpu +cpuset +memory +pids"},
		{"sub/memory.max", "33554432"},
		{"sub/pids.max", "7"},
	} {
		if err := os.WriteFile("/tmp/cg/"+w[0], []byte(w[1]), 0); err != nil {
			return nil, err
		}
	}
	if err := os.WriteFile("/tmp/cg/memory.max", []byte("max"), 0); err == nil {
		return nil, fmt.Errorf("memory.max of the top group could be written")
	}
	return []string{"cpu", "cpuset", "memory", "pids"}, nil
}

// forks starts processes until one is refused.
func forks() error {
	for range 1000 {
		cmd := exec.Command("/proc/self/exe")
		cmd.Env = []string{insideVar + "=block"}
		if err := cmd.Start(); err != nil {
			fmt.Println("refused:", err)
			return nil
		}
	}
	return fmt.Errorf("1000 processes and none refused")
}

// subtree leaves processes in groups of its own making, one of them frozen, and blocks.
func subtree() error {
	if err := unix.Mount("tmpfs", "/tmp", "tmpfs", 0, ""); err != nil {
		return err
	}
	b, _ := os.ReadFile("/proc/self/cgroup")
	kind, data, freeze, frozen := "cgroup2", "", "cgroup.freeze", "1"
	if hasV1(string(b)) {
		kind, data, freeze, frozen = "cgroup", "freezer", "freezer.state", "FROZEN"
	}
	if err := unix.Mount(kind, "/tmp", kind, 0, data); err != nil {
		return err
	}
	for _, d := range []string{"/tmp/a", "/tmp/a/b"} {
		if err := os.Mkdir(d, 0o755); err != nil {
			return err
		}
	}
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = []string{insideVar + "=block"}
	if err := cmd.Start(); err != nil {
		return err
	}
	if err := os.WriteFile("/tmp/a/b/cgroup.procs", fmt.Append(nil, cmd.Process.Pid), 0); err != nil {
		return err
	}
	if err := os.WriteFile("/tmp/a/b/"+freeze, []byte(frozen), 0); err != nil {
		return err
	}
	fmt.Println("ready")
	block()
	return nil
}

// block waits to be killed. Without cgo Go ends a program whose goroutines all wait for each other.
func block() {
	for {
		_ = unix.Pause()
	}
}

// leaveChroot lets a test on a machine that is only a chroot start processes with a user namespace.
func leaveChroot() error {
	if chroot.Inside() {
		return chroot.Leave()
	}
	return nil
}
