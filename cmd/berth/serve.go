package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"github.com/docker/go-units"
	"golang.org/x/sys/unix"
	"golang.org/x/term"

	"berth/deploy"
	"berth/sessions"
	"berth/web"
)

// endTimeout bounds the end of all sessions when the server ends with them.
const endTimeout = 60 * time.Second

// serveCmd is the server.
type serveCmd struct {
	Addr         string   `default:"127.0.0.1:8080" help:"Address to listen on, host:port."`
	DataDir      string   `default:"/var/lib/berth" type:"path" help:"Session disks, images, the database and keys."`
	RunDir       string   `default:"/run/berth" type:"path" help:"Sockets and state of running sandboxes."`
	Environments string   `type:"path" help:"What sessions start from (YAML); default: the built-in debian and busybox."`
	OnExit       string   `enum:"auto,keep,end" default:"auto" help:"What becomes of the sessions when the server ends: keep, end, or auto (end when started from a terminal)."`
	Hosts        []string `name:"host" help:"Further names under which the server is reached, e.g. berth.example.org."`
	Proxies      []string `name:"trusted-proxy" help:"Networks of proxies whose X-Forwarded-For is believed, e.g. 10.0.0.0/8."`

	MaxSessions      int     `help:"Sessions on this host at a time; 0: as many as memory and disk allow."`
	PerVisitor       int     `default:"3" help:"Sessions of one visitor."`
	PerAddress       int     `default:"20" help:"Sessions from one IPv4 address or IPv6 /64."`
	Queue            int     `default:"100" help:"Visitors who may wait; -1: none."`
	MemoryOvercommit float64 `default:"4" help:"How often the host's memory may be promised."`
	DiskOvercommit   float64 `default:"1" help:"How often the host's disk may be promised; above 1, sessions can fill it."`
	DiskReserve      size    `default:"2GiB" help:"Disk of the host that sessions never get."`

	Runc       string   `type:"path" help:"runc; default: the one beside berth."`
	DockerInit string   `type:"path" help:"docker-init; default: the one beside berth."`
	Subnet     string   `default:"100.64.0.0/16" help:"Addresses for sandboxes; each takes four."`
	DNS        []string `name:"dns" help:"Resolvers that sandboxes use; default: the host's."`
	Deny       []string `name:"deny-net" help:"Further networks that no sandbox may reach."`
	LogFormat  string   `enum:"text,json" default:"text" help:"text or json."`
	Verbose    bool     `short:"v" help:"Log every request."`
}

func (c *serveCmd) Run(ctx context.Context) (err error) {
	// What the shell that started us left open is none of the sandboxes' business: close_range(2), kernel 5.11.
	if err := unix.CloseRange(3, ^uint(0), unix.CLOSE_RANGE_CLOEXEC); err != nil {
		return fmt.Errorf("mark inherited descriptors: %w", err)
	}
	log := c.logger()
	environments, err := c.environments()
	if err != nil {
		return err
	}
	proxies, err := prefixes("trusted-proxy", c.Proxies)
	if err != nil {
		return err
	}
	host, err := c.openHost(ctx, log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, host.close()) }()
	manager, err := sessions.New(sessions.Config{
		Launcher: host.launcher, Store: host.store, Environments: environments, Limits: c.admission(), Log: log,
	})
	if err != nil {
		return err
	}
	server, err := web.New(web.Config{
		Addr: c.Addr, DataDir: c.DataDir, Manager: manager, Log: log, Hosts: c.Hosts, TrustedProxies: proxies, Version: version(),
	})
	if err != nil {
		return err
	}
	if err := server.Listen(ctx); err != nil {
		return err
	}
	if err := manager.Start(ctx); err != nil {
		return errors.Join(err, server.Close())
	}
	fmt.Fprintf(os.Stderr, "Berth is at %s\n", server.URL())
	err = server.Serve(ctx)
	return errors.Join(err, c.end(ctx, manager))
}

// end ends the sessions, or lets them live on.
func (c *serveCmd) end(ctx context.Context, m *sessions.Manager) error {
	end := c.OnExit == "end" || c.OnExit == "auto" && term.IsTerminal(int(os.Stdin.Fd()))
	if end {
		fmt.Fprintln(os.Stderr, "Ending the sessions…")
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), endTimeout)
	defer cancel()
	return m.Close(ctx, end)
}

func (c *serveCmd) admission() sessions.Admission {
	return sessions.Admission{
		PerVisitor: c.PerVisitor, PerAddress: c.PerAddress, MaxSessions: c.MaxSessions, QueueLength: c.Queue,
		MemoryOvercommit: c.MemoryOvercommit, DiskOvercommit: c.DiskOvercommit, DiskReserve: int64(c.DiskReserve),
	}
}

func (c *serveCmd) environments() ([]sessions.Environment, error) {
	if c.Environments == "" {
		return sessions.LoadEnvironments(bytes.NewReader(deploy.Environments))
	}
	return sessions.LoadEnvironmentsFile(c.Environments)
}

func (c *serveCmd) logger() *slog.Logger {
	options := &slog.HandlerOptions{Level: slog.LevelInfo}
	if c.Verbose {
		options.Level = slog.LevelDebug
	}
	if c.LogFormat == "json" {
		return slog.New(slog.NewJSONHandler(os.Stderr, options))
	}
	return slog.New(slog.NewTextHandler(os.Stderr, options))
}

func prefixes(flag string, list []string) ([]netip.Prefix, error) {
	out := make([]netip.Prefix, len(list))
	for i, s := range list {
		p, err := netip.ParsePrefix(s)
		if err != nil {
			return nil, fmt.Errorf("--%s %s: write a network as 10.0.0.0/8: %w", flag, s, err)
		}
		out[i] = p.Masked()
	}
	return out, nil
}

// size is a number of bytes, written as 512MB or 2GiB.
type size int64

// UnmarshalText implements encoding.TextUnmarshaler, for kong.
func (s *size) UnmarshalText(b []byte) error {
	n, err := units.RAMInBytes(string(b))
	if err != nil {
		return fmt.Errorf("%q is not a size: write it as 512MB or 2GiB", b)
	}
	*s = size(n)
	return nil
}

// beside finds a program that was built with this one.
func beside(name, given string) (string, error) {
	if given != "" {
		return given, nil
	}
	self, err := os.Executable()
	if err != nil {
		return "", err
	}
	return filepath.Join(filepath.Dir(self), name), nil
}
