package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"

	"berth/doctor"
	"berth/quotas/cgroup"
	"berth/quotas/network"
	"berth/quotas/network/dns"
	"berth/runtime/imagecache"
	"berth/runtime/sandbox"
	"berth/sessions/store"
)

// host is what a server holds of the machine it runs on.
type host struct {
	locks    []*store.Lock
	store    *store.DB
	network  *network.Host
	names    *dns.Forwarder
	cgroups  *cgroup.Instance
	launcher *sandbox.Launcher
}

// openHost takes hold of the data and run directories and of the parts of the kernel that sandboxes are made of. What was
// opened before an error is closed again.
func (c *serveCmd) openHost(ctx context.Context, log *slog.Logger) (h *host, err error) {
	if os.Geteuid() != 0 {
		return nil, errors.New("serve builds sandboxes out of namespaces, mounts and control groups: run it as root")
	}
	runc, err := doctor.FindRunc(c.Runc)
	if err != nil {
		return nil, fmt.Errorf("no runc, next to berth or in PATH (make build makes bin/runc; --runc names another): %w", err)
	}
	if err := doctor.Musts(ctx, doctor.Config{DataDir: c.DataDir, Runc: runc}); err != nil {
		return nil, err
	}
	h = &host{}
	defer func() {
		if err != nil {
			err = errors.Join(err, h.close())
		}
	}()
	if err := h.openData(ctx, c); err != nil {
		return h, err
	}
	if err := h.openKernel(ctx, c, log); err != nil {
		return h, err
	}
	return h, h.openLauncher(ctx, c, runc, log)
}

func (h *host) openData(ctx context.Context, c *serveCmd) error {
	for _, dir := range []struct {
		path string
		mode os.FileMode
	}{{c.DataDir, 0o700}, {c.RunDir, 0o711}} {
		if err := os.MkdirAll(dir.path, dir.mode); err != nil {
			return err
		}
		lock, err := store.AcquireLock(dir.path)
		if err != nil {
			return err
		}
		h.locks = append(h.locks, lock)
	}
	var err error
	h.store, err = store.Open(ctx, filepath.Join(c.DataDir, "berth.db"))
	return err
}

func (h *host) openKernel(ctx context.Context, c *serveCmd, log *slog.Logger) error {
	pool, err := netip.ParsePrefix(c.Subnet)
	if err != nil {
		return fmt.Errorf("--subnet %s: write a network as 100.64.0.0/16: %w", c.Subnet, err)
	}
	deny, err := prefixes("deny-net", c.Deny)
	if err != nil {
		return err
	}
	instance := instanceName(c.RunDir)
	groups, err := cgroup.Detect("/sys/fs/cgroup")
	if err != nil {
		return err
	}
	if h.cgroups, err = groups.Instance(instance); err != nil {
		return err
	}
	allow, err := mirrorAddresses(ctx, c.Mirrors)
	if err != nil {
		return err
	}
	if h.network, err = network.Open(network.Config{Instance: instance, Pool: pool, Deny: deny, Allow: allow, Log: log}); err != nil {
		return err
	}
	upstream, err := resolvers(c.DNS)
	h.names = dns.New(ctx, dns.Config{Upstream: upstream, Log: log})
	return err
}

func (h *host) openLauncher(ctx context.Context, c *serveCmd, runc string, log *slog.Logger) error {
	images, err := imagecache.Open(filepath.Join(c.DataDir, "images"))
	if err != nil {
		return err
	}
	init, err := beside("docker-init", c.DockerInit)
	if err != nil {
		return err
	}
	docker, err := dockerDir(c.DockerDir)
	if err != nil {
		return err
	}
	h.launcher, err = sandbox.New(ctx, sandbox.Config{
		Instance: instanceName(c.RunDir),
		DataDir:  c.DataDir, RunDir: c.RunDir, Runc: runc, DockerInit: init, DockerDir: docker, Images: images, Cgroups: h.cgroups,
		Network: h.network, Names: h.names, DiskReserve: int64(c.DiskReserve), Mirrors: c.Mirrors, Log: log,
	})
	return err
}

// close lets go of the host, in reverse. Sandboxes that run go on running.
func (h *host) close() error {
	var errs []error
	if h.launcher != nil {
		errs = append(errs, h.launcher.Close())
	}
	if h.names != nil {
		errs = append(errs, h.names.Close())
	}
	if h.network != nil {
		errs = append(errs, h.network.Close())
	}
	if h.cgroups != nil {
		errs = append(errs, h.cgroups.Release())
	}
	if h.store != nil {
		errs = append(errs, h.store.Close())
	}
	for _, l := range h.locks {
		errs = append(errs, l.Release())
	}
	return errors.Join(errs...)
}

// resolvers reads --dns: addresses, with the port where it is not 53.
func resolvers(list []string) ([]netip.AddrPort, error) {
	out := make([]netip.AddrPort, len(list))
	for i, s := range list {
		if addr, err := netip.ParseAddr(s); err == nil {
			out[i] = netip.AddrPortFrom(addr, 53)
			continue
		}
		ap, err := netip.ParseAddrPort(s)
		if err != nil {
			return nil, fmt.Errorf("--dns %s: write an address as 9.9.9.9 or 127.0.0.1:5353: %w", s, err)
		}
		out[i] = ap
	}
	return out, nil
}

// instanceName tells the servers of one host apart: what a server makes in the kernel carries the name of its run directory.
func instanceName(runDir string) string {
	sum := sha256.Sum256([]byte(runDir))
	return hex.EncodeToString(sum[:4])
}
