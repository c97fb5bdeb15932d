package oci_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/moby/moby/api/types/container"

	"berth/runtime/engine/boot"
	"berth/runtime/engine/oci"
)

// tree makes files that look like control groups.
func tree(t *testing.T, files map[string]string) *oci.Cgroups {
	t.Helper()
	root := t.TempDir()
	for name, content := range files {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	g, err := oci.FindCgroups(root)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func TestCgroupsV1(t *testing.T) {
	g := tree(t, map[string]string{
		"cpu,cpuacct/payload/cpu.cfs_quota_us": "100000\n", "cpu,cpuacct/payload/cpu.cfs_period_us": "100000\n",
		"cpu,cpuacct/payload/x/cpuacct.usage": "42\n", "memory/payload/x/memory.oom_control": "oom_kill_disable 0\noom_kill 2\n",
		"memory/payload/x/cgroup.procs": "3\n4\n",
	})
	for controller, want := range map[string]bool{"cpu": true, "cpuacct": true, "memory": true, "pids": false, "cpuset": false} {
		if g.Has(controller) != want {
			t.Errorf("%s: %v", controller, !want)
		}
	}
	if n, ok := g.Number("cpuacct", "/payload/x", "cpuacct.usage"); n != 42 || !ok {
		t.Error(n, ok)
	}
	if n, ok := g.Number("pids", "/payload/x", "pids.current"); n != 0 || ok {
		t.Error(n, ok)
	}
	if n := g.Killed("/payload/x"); n != 2 {
		t.Errorf("%d were killed", n)
	}
	if pids, err := g.Processes("/payload/x"); len(pids) != 2 || err != nil {
		t.Error(pids, err)
	}
	pids := int64(10)
	r := g.Resources(container.Resources{NanoCPUs: 2e9, Memory: 1 << 20, PidsLimit: &pids, BlkioWeight: 100})
	if *r.CPU.Quota != 100000 || *r.CPU.Period != 100000 {
		t.Errorf("a quota of %d: version 1 refuses more than the sandbox has", *r.CPU.Quota)
	}
	if *r.Memory.Limit != 1<<20 || r.Pids != nil || r.BlockIO != nil {
		t.Errorf("%+v", r)
	}
}

func TestCgroupsV2(t *testing.T) {
	g := tree(t, map[string]string{
		"cgroup.controllers": "cpuset cpu io memory pids\n", "payload/memory.swap.max": "max\n", "payload/cpuset.cpus.effective": "0-1\n",
		"payload/x/memory.events": "oom 1\noom_kill 1\n", "payload/memory.max": "1000\n",
	})
	if !g.Unified || !g.Has("blkio") || !g.Has("freezer") || !g.Has("memory") || !g.HasSwap() || g.HasWeight() {
		t.Errorf("%+v", g)
	}
	if g.Available("cpuset.cpus") != "0-1" || g.Killed("/payload/x") != 1 || g.Limit("memory", "memory.max") != "1000" {
		t.Error("the files are not read")
	}
	unlimited := int64(0)
	r := g.Resources(container.Resources{NanoCPUs: 15e8, PidsLimit: &unlimited, CpusetCpus: "0"})
	if *r.CPU.Quota != 150000 || r.CPU.Cpus != "0" || *r.Pids.Limit != -1 {
		t.Errorf("%+v", r)
	}
}

// TestRemoveIsOfContainersOnly: no other group can be meant.
func TestRemoveIsOfContainersOnly(t *testing.T) {
	g := tree(t, map[string]string{"memory/payload/x/y/keep": ""})
	for _, group := range []string{"", "/", boot.Payload, "/other/x", boot.Payload + "/../other"} {
		if err := g.Remove(t.Context(), group); err == nil {
			t.Errorf("%q was removed", group)
		}
	}
	if err := g.Remove(t.Context(), boot.Payload+"/not-there"); err != nil {
		t.Error(err)
	}
}

// TestRemoveLeavesWhatOthersNeed: runc makes the groups above a container's one after the other, beside others that end.
func TestRemoveLeavesWhatOthersNeed(t *testing.T) {
	g := tree(t, map[string]string{"memory/payload/keep": "", "pids/payload/keep": ""})
	first, second := boot.Payload+"/build/steps/first", boot.Payload+"/build/second"
	build := []string{filepath.Join(g.Root, "memory/payload/build"), filepath.Join(g.Root, "pids/payload/build")}
	for _, dir := range build {
		if err := os.MkdirAll(filepath.Join(dir, "steps/first"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	g.Hold(first)
	g.Hold(second) // runc has not made it yet
	if err := g.Remove(t.Context(), first); err != nil {
		t.Fatal(err)
	}
	for _, dir := range build {
		if entries, err := os.ReadDir(dir); err != nil || len(entries) > 0 {
			t.Errorf("%s: %v, %v: want nothing in it", dir, entries, err)
		}
	}
	if err := g.Remove(t.Context(), second); err != nil { // it has never been made
		t.Fatal(err)
	}
	for _, dir := range build {
		if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v: want it gone", dir, err)
		}
	}
}
