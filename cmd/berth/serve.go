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

// shutdownTimeout bounds the end of all sessions when the server ends with them.
const shutdownTimeout = 60 * time.Second

// serveCmd is the server.
type serveCmd struct {
	Addr         string   `default:"127.0.0.1:8080" help:"Address to listen on, host:port." env:"BERTH_ADDR"`
	DataDir      string   `default:"/var/lib/berth" type:"path" help:"Session disks, images, the database and keys." env:"BERTH_DATA_DIR"`
	RunDir       string   `default:"/run/berth" type:"path" help:"Sockets and state of running sandboxes." env:"BERTH_RUN_DIR"`
	Environments string   `type:"path" help:"What sessions start from (YAML); default: the built-in debian and busybox." env:"BERTH_ENVIRONMENTS"`
	OnExit       string   `enum:"auto,keep,end" default:"auto" help:"What becomes of the sessions when the server ends: keep, end, or auto (end when started from a terminal)." env:"BERTH_ON_EXIT"`
	Hosts        []string `name:"host" help:"Further names under which the server is reached, e.g. berth.example.org." env:"BERTH_HOST"`
	Proxies      []string `name:"trusted-proxy" help:"Networks of proxies whose X-Forwarded-For is believed, e.g. 10.0.0.0/8." env:"BERTH_TRUSTED_PROXY"`

	MaxSessions      int     `help:"Sessions on this host at a time; 0: as many as memory and disk allow." env:"BERTH_MAX_SESSIONS"`
	PerVisitor       int     `default:"3" help:"Sessions of one visitor." env:"BERTH_PER_VISITOR"`
	PerAddress       int     `default:"20" help:"Sessions from one IPv4 address or IPv6 /64." env:"BERTH_PER_ADDRESS"`
	Queue            int     `default:"100" help:"Visitors who may wait; -1: none." env:"BERTH_QUEUE"`
	MemoryOvercommit float64 `default:"4" help:"How often the host's memory may be promised." env:"BERTH_MEMORY_OVERCOMMIT"`
	DiskOvercommit   float64 `default:"1" help:"How often the host's disk may be promised; above 1, sessions can fill it." env:"BERTH_DISK_OVERCOMMIT"`
	DiskReserve      size    `default:"2GiB" help:"Disk of the host that sessions never get." env:"BERTH_DISK_RESERVE"`

	Runc       string   `type:"path" help:"runc; default: the one beside berth." env:"BERTH_RUNC"`
	DockerInit string   `type:"path" help:"docker-init, with docker-exec beside it; default: the one beside berth." env:"BERTH_DOCKER_INIT"`
	DockerDir  string   `type:"path" help:"Directory of the docker command and its plugins that sessions get; default: berth's own." env:"BERTH_DOCKER_DIR"`
	Subnet     string   `default:"100.64.0.0/16" help:"Addresses for sandboxes; each takes four." env:"BERTH_SUBNET"`
	DNS        []string `name:"dns" help:"Resolvers that sandboxes use; default: the host's." env:"BERTH_DNS"`
	Mirrors    []string `name:"registry-mirror" placeholder:"URL,..." help:"Mirrors of Docker Hub that sessions pull from first, e.g. http://192.0.2.7:5000. They may reach these addresses even where they are private." env:"BERTH_REGISTRY_MIRROR"`
	Deny       []string `name:"deny-net" help:"Further networks that no sandbox may reach." env:"BERTH_DENY_NET"`
	LogFormat  string   `enum:"text,json" default:"text" help:"text or json." env:"BERTH_LOG_FORMAT"`
	Verbose    bool     `short:"v" help:"Log every request." env:"BERTH_VERBOSE"`
}

func (c *serveCmd) Run(ctx context.Context) (err error) {
	// What the shell that started us left open is none of the sandboxes' business: close_range(2), kernel 5.11.
	if err := unix.CloseRange(3, ^uint(0), unix.CLOSE_RANGE_CLOEXEC); err != nil {
		return fmt.Errorf("mark inherited descriptors: %w", err)
	}
	moreProcessors()
	log := c.logger()
	environments, err := c.environments()
	if err != nil {
		return err
	}
	proxies, err := prefixes("trusted-proxy", c.Proxies)
	if err != nil {
		return err
	}
	build, err := ownHash()
	if err != nil {
		return err
	}
	host, err := c.openHost(ctx, log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, host.close()) }()
	manager, err := sessions.New(sessions.Config{
		Launcher: host.launcher, Store: host.store, Environments: environments, Limits: c.admission(), Log: log, Build: build,
	})
	if err != nil {
		return err
	}
	server, err := web.New(web.Config{ //nolint:contextcheck // its metrics have the context of the request for them
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
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
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

// dockerDir is the directory of the docker command that sessions get.
func dockerDir(given string) (string, error) {
	docker, err := beside("docker", "")
	if given != "" || err != nil {
		return given, err
	}
	return filepath.Dir(docker), nil
}
