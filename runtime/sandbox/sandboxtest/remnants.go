package sandboxtest

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/nftables"
	"github.com/vishvananda/netlink"
)

// Remnants lists all that the machine still holds of this corner's sandboxes: empty when all are closed.
func (h *Host) Remnants(t *testing.T) []string {
	t.Helper()
	var found []string
	add := func(kind string, names ...string) {
		for _, n := range names {
			found = append(found, kind+" "+n)
		}
	}
	add("run", list(t, h.Config.RunDir)...)
	add("disk", list(t, filepath.Join(h.Config.DataDir, "sessions"))...)
	groups, err := h.Config.Cgroups.List()
	check(t, err)
	add("cgroup", groups...)
	links, err := h.Config.Network.List()
	check(t, err)
	for _, l := range links {
		add("slot", l.ID)
	}
	add("interface", interfaces(t)...)
	add("chain", h.chains(t)...)
	add("mount", h.mentions(t, "/proc/self/mountinfo")...)
	add("loop", h.loops(t)...)
	add("process", h.processes(t)...)
	leases, err := h.Config.Images.Leases()
	check(t, err)
	for name := range leases {
		if strings.HasPrefix(name, h.Instance+"-") {
			add("lease", name)
		}
	}
	return found
}

func list(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if os.IsNotExist(err) {
		return nil
	}
	check(t, err)
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// interfaces of the tests' own network namespace: all of Berth's are this corner's, for one test runs at a time.
func interfaces(t *testing.T) []string {
	t.Helper()
	links, err := netlink.LinkList()
	check(t, err)
	var names []string
	for _, l := range links {
		if n := l.Attrs().Name; strings.HasPrefix(n, "berth") {
			names = append(names, n)
		}
	}
	return names
}

// chains of sandboxes in this corner's table; the base chains go with the server.
func (h *Host) chains(t *testing.T) []string {
	t.Helper()
	conn, err := nftables.New()
	check(t, err)
	all, err := conn.ListChains()
	check(t, err)
	var names []string
	for _, c := range all {
		if strings.HasSuffix(c.Table.Name, h.Instance) && c.Hooknum == nil && strings.ContainsAny(c.Name, "0123456789") {
			names = append(names, c.Name)
		}
	}
	return names
}

func (h *Host) mentions(t *testing.T, file string) []string {
	t.Helper()
	b, err := os.ReadFile(file)
	check(t, err)
	var lines []string
	for line := range bytes.Lines(b) {
		if bytes.Contains(line, []byte(h.Config.DataDir)) || bytes.Contains(line, []byte(h.Config.RunDir)) {
			lines = append(lines, string(bytes.TrimSpace(line)))
		}
	}
	return lines
}

func (h *Host) loops(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("/sys/block/loop*/loop/backing_file")
	check(t, err)
	var found []string
	for _, f := range files {
		if b, err := os.ReadFile(f); err == nil && strings.HasPrefix(string(b), h.Config.DataDir) { // gone meanwhile: fine
			found = append(found, string(bytes.TrimSpace(b)))
		}
	}
	return found
}

// processes that stand in a control group of ours, also one that is removed. A zombie that is not our child waits for
// the machine's init, and holds nothing.
func (h *Host) processes(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/cgroup")
	check(t, err)
	var found []string
	for _, f := range files {
		groups, err := os.ReadFile(f)
		if err != nil || !bytes.Contains(groups, []byte("/"+h.Instance+"/")) {
			continue // ended meanwhile, or not ours
		}
		stat, err := os.ReadFile(filepath.Join(filepath.Dir(f), "stat"))
		if err != nil || bytes.Contains(stat, []byte(") Z ")) && !bytes.Contains(stat, fmt.Appendf(nil, ") Z %d ", os.Getpid())) {
			continue
		}
		found = append(found, string(stat))
	}
	return found
}
