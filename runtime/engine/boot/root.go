package boot

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// Where things are inside a sandbox.
const (
	Disk       = "/disk"      // the session's disk
	Layers     = "/layers"    // the trees of the shared image cache, read-only
	Catalogue  = "/catalogue" // what the cache holds, read-only and live: package catalogue
	Programs   = "/programs"  // read-only
	Runc       = Programs + "/runc"
	DockerInit = Programs + "/docker-init"
	DockerExec = Programs + "/docker-exec"
	RootCAs    = Programs + "/ca-certificates.crt" // whom the host trusts; may be missing
	Run        = "/run"                            // tmpfs
	Cgroup     = "/sys/fs/cgroup"
)

// tmpfsSize bounds what the engine's own tmpfs can hold: sockets, bundles and state.
const tmpfsSize = "16m"

// devices are the ones that runc binds into containers; a user namespace cannot make any.
var devices = []string{"null", "zero", "full", "random", "urandom", "tty"}

// EnterRoot builds the sandbox's root file system on c.Stage/root and makes it the only one. Afterwards no file of the
// host can be reached except through the mounts named above.
func EnterRoot(c Config) error {
	// The copies of the host's mounts came as slaves: nothing is to be propagated here any more.
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	root := filepath.Join(c.Stage, "root")
	if err := mount("tmpfs", root, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=755,size="+tmpfsSize); err != nil {
		return err
	}
	steps := []func(Config, string) error{bindStage, makeDevices, mountKernel, mountCgroups, makeEtc}
	for _, step := range steps {
		if err := step(c, root); err != nil {
			return err
		}
	}
	return pivot(root)
}

// bindStage brings in what the launcher has mounted for us.
func bindStage(c Config, root string) error {
	for _, dir := range []string{Disk, Layers, Catalogue, Programs} {
		if err := os.MkdirAll(root+dir, 0o755); err != nil {
			return err
		}
		if err := bind(c.Stage+dir, root+dir); err != nil {
			return err
		}
	}
	return nil
}

func makeDevices(_ Config, root string) error {
	dev := root + "/dev"
	if err := os.MkdirAll(dev+"/pts", 0o755); err != nil {
		return err
	}
	for _, d := range devices {
		if err := touch(filepath.Join(dev, d)); err != nil {
			return err
		}
		if err := bind("/dev/"+d, filepath.Join(dev, d)); err != nil {
			return err
		}
	}
	for name, target := range map[string]string{"fd": "/proc/self/fd", "ptmx": "pts/ptmx"} {
		if err := os.Symlink(target, filepath.Join(dev, name)); err != nil {
			return err
		}
	}
	return mount("devpts", dev+"/pts", "devpts", unix.MS_NOSUID|unix.MS_NOEXEC, "newinstance,ptmxmode=0666,mode=0620")
}

// mountKernel mounts proc and sysfs while the host's own are still visible: the kernel lets a user namespace mount new
// ones only beside ones that are wholly visible (mount_namespaces(7)). They stay unmasked here for the same reason:
// containers need theirs. runc masks what containers see.
func mountKernel(_ Config, root string) error {
	for _, dir := range []string{"/proc", "/sys", "/tmp", Run, "/etc"} {
		if err := os.MkdirAll(root+dir, 0o755); err != nil {
			return err
		}
	}
	const flags = unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC
	if err := mount("proc", root+"/proc", "proc", flags, ""); err != nil {
		return err
	}
	return mount("sysfs", root+"/sys", "sysfs", flags, "")
}

// makeEtc writes what this program itself needs to reach registries: resolvers, localhost, and whom to trust.
func makeEtc(c Config, root string) error {
	var resolv strings.Builder
	for _, server := range c.DNS {
		fmt.Fprintf(&resolv, "nameserver %s\n", server)
	}
	const certificates = "/etc/ssl/certs/ca-certificates.crt" // where Go looks first: crypto/x509
	return errors.Join(
		os.WriteFile(root+"/etc/resolv.conf", []byte(resolv.String()), 0o644),
		os.WriteFile(root+"/etc/hosts", []byte("127.0.0.1\tlocalhost\n::1\tlocalhost\n"), 0o644),
		os.MkdirAll(root+filepath.Dir(certificates), 0o755),
		os.Symlink(RootCAs, root+certificates),
	)
}

// mountCgroups mounts the hierarchies that the launcher has delegated, as the host has them: one directory per
// hierarchy (v1), or the unified one (v2).
func mountCgroups(_ Config, root string) error {
	hierarchies, err := delegated()
	if err != nil {
		return err
	}
	const flags = unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC
	at := root + Cgroup
	if len(hierarchies) == 1 && hierarchies[0] == "" {
		return mount("cgroup2", at, "cgroup2", flags, "")
	}
	if err := mount("tmpfs", at, "tmpfs", flags, "mode=755,size=64k"); err != nil {
		return err
	}
	for _, h := range hierarchies {
		if h == "" {
			continue // the unified half of a hybrid host has no controllers
		}
		dir := filepath.Join(at, h)
		if err := os.Mkdir(dir, 0o755); err != nil {
			return err
		}
		if err := mount("cgroup", dir, "cgroup", flags, h); err != nil {
			return err
		}
	}
	return nil
}

// delegated lists the controllers of each cgroup hierarchy whose root, as we see it, is our own cgroup; "" is v2.
// The format is that of /proc/PID/cgroup in cgroups(7).
func delegated() ([]string, error) {
	b, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return nil, err
	}
	var unified bool
	var v1 []string
	for line := range strings.Lines(string(b)) {
		f := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(f) != 3 || f[2] != "/" || strings.HasPrefix(f[1], "name=") {
			continue
		}
		if f[1] == "" {
			unified = true
			continue
		}
		v1 = append(v1, f[1])
	}
	switch {
	case len(v1) > 0:
		return v1, nil
	case unified:
		return []string{""}, nil
	}
	return nil, errors.New("no cgroup was delegated to the sandbox")
}

// pivot makes root the root of this mount namespace and lets go of the host's.
func pivot(root string) error {
	if err := os.Chdir(root); err != nil {
		return err
	}
	// pivot_root(".", ".") stacks the old root on the new one: pivot_root(2), NOTES.
	if err := unix.PivotRoot(".", "."); err != nil {
		return fmt.Errorf("pivot_root: %w", err)
	}
	if err := unix.Unmount(".", unix.MNT_DETACH); err != nil {
		return fmt.Errorf("let go of the host's root: %w", err)
	}
	return os.Chdir("/")
}

func touch(path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDONLY, 0o644)
	if err != nil {
		return err
	}
	return f.Close()
}

func bind(from, to string) error {
	if err := unix.Mount(from, to, "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
		return fmt.Errorf("bind %s to %s: %w", from, to, err)
	}
	return nil
}

func mount(source, target, fstype string, flags uintptr, data string) error {
	if err := unix.Mount(source, target, fstype, flags, data); err != nil {
		return fmt.Errorf("mount %s on %s: %w", fstype, target, err)
	}
	return nil
}
