package sandboxtest

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/nftables"
	"github.com/vishvananda/netlink"

	"berth/quotas/cgroup"
	"berth/quotas/network"
	"berth/runtime/imagecache"
	"berth/sessions"
)

// Corner names what one server has of the machine: a Host of these tests, or a server that runs as a process of its own.
type Corner struct {
	Instance string // of its control groups, nftables table, slots and leases
	DataDir  string
	RunDir   string
	Images   string // directory of the image cache
}

// Remnants lists all that the machine still holds of this host's sandboxes: empty when all are closed.
func (h *Host) Remnants(t *testing.T) []string {
	t.Helper()
	return Corner{
		Instance: h.Instance, DataDir: h.Config.DataDir, RunDir: h.Config.RunDir, Images: filepath.Join(h.place.Images, "images"),
	}.Remnants(t)
}

// Remnants lists all that the machine still holds of the corner's sandboxes: empty when all are closed. It changes nothing.
func (c Corner) Remnants(t *testing.T) []string {
	t.Helper()
	var found []string
	add := func(kind string, names ...string) {
		for _, n := range names {
			found = append(found, kind+" "+n)
		}
	}
	for _, name := range list(t, c.RunDir) {
		if sessions.ID(name).Valid() { // beside them is the server's lock
			add("run", name)
		}
	}
	add("disk", list(t, filepath.Join(c.DataDir, "sessions"))...)
	add("cgroup", c.groups(t)...)
	add("slot", c.slots(t)...)
	add("interface", interfaces(t)...)
	add("chain", c.chains(t)...)
	add("mount", c.mentions(t, "/proc/self/mountinfo")...)
	add("loop", c.loops(t)...)
	add("process", c.processes(t)...)
	cache, err := imagecache.Open(c.Images)
	check(t, err)
	leases, err := cache.Leases()
	check(t, err)
	for name := range leases {
		if strings.HasPrefix(name, c.Instance+"-") {
			add("lease", name)
		}
	}
	return found
}

func (c Corner) groups(t *testing.T) []string {
	t.Helper()
	host, err := cgroup.Detect("/sys/fs/cgroup")
	check(t, err)
	corner, err := host.Instance(c.Instance)
	check(t, err)
	names, err := corner.List()
	check(t, err)
	return names
}

// slots that are claimed among all servers of the machine: links that say "instance:sandbox".
func (c Corner) slots(t *testing.T) []string {
	t.Helper()
	var ours []string
	for _, name := range list(t, network.DefaultClaims) {
		owner, err := os.Readlink(filepath.Join(network.DefaultClaims, name))
		if err == nil && strings.HasPrefix(owner, c.Instance+":") { // one that is gone meanwhile is another server's
			ours = append(ours, owner)
		}
	}
	return ours
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
	for errors.Is(err, netlink.ErrDumpInterrupted) { // something changes at the same time
		links, err = netlink.LinkList()
	}
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
func (c Corner) chains(t *testing.T) []string {
	t.Helper()
	conn, err := nftables.New()
	check(t, err)
	all, err := conn.ListChains()
	check(t, err)
	var names []string
	for _, chain := range all {
		if strings.HasSuffix(chain.Table.Name, c.Instance) && chain.Hooknum == nil && strings.ContainsAny(chain.Name, "0123456789") {
			names = append(names, chain.Name)
		}
	}
	return names
}

func (c Corner) mentions(t *testing.T, file string) []string {
	t.Helper()
	b, err := os.ReadFile(file)
	check(t, err)
	var lines []string
	for line := range bytes.Lines(b) {
		if bytes.Contains(line, []byte(c.DataDir)) || bytes.Contains(line, []byte(c.RunDir)) {
			lines = append(lines, string(bytes.TrimSpace(line)))
		}
	}
	return lines
}

func (c Corner) loops(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("/sys/block/loop*/loop/backing_file")
	check(t, err)
	var found []string
	for _, f := range files {
		if b, err := os.ReadFile(f); err == nil && strings.HasPrefix(string(b), c.DataDir) { // gone meanwhile: fine
			found = append(found, string(bytes.TrimSpace(b)))
		}
	}
	return found
}

// processes that stand in a control group of ours, also one that is removed. A zombie that is not our child waits for
// the machine's init, and holds nothing.
func (c Corner) processes(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/cgroup")
	check(t, err)
	var found []string
	for _, f := range files {
		groups, err := os.ReadFile(f)
		if err != nil || !bytes.Contains(groups, []byte("/"+c.Instance+"/")) {
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
