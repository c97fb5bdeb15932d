// Command dockerd is what answers in a session when somebody types `dockerd`. The session's engine runs already and outlives
// every shell, so there is none to start: with -H it serves that engine at one more address, as tutorials do with
// `dockerd -H tcp://0.0.0.0:2375 &`, until it is ended.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// engine is where the session's Docker listens.
const engine = "/var/run/docker.sock"

const usage = `This session's Docker engine is running already, at unix://` + engine + `.
To have it answer at another address too, until this program is ended:

  dockerd -H tcp://127.0.0.1:2375        this machine and its containers on the host's network
  dockerd -H tcp://0.0.0.0:2375          every container too; whoever reaches it owns the session
  dockerd -H unix:///run/other.sock

-H may be given more than once. The engine takes no other options: it has its limits from the session.
`

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "dockerd:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	hosts, err := parse(args)
	if err != nil {
		return err
	}
	if len(hosts) == 0 {
		fmt.Print(usage)
		return nil
	}
	ctx, stop := signal.NotifyContext(context.Background(), unix.SIGINT, unix.SIGTERM)
	defer stop()
	var listeners []net.Listener
	defer func() {
		for _, l := range listeners {
			_ = l.Close() // also removes the file of a socket
		}
	}()
	for _, h := range hosts {
		l, err := (&net.ListenConfig{}).Listen(ctx, h.network, h.address)
		if err != nil {
			return err
		}
		listeners = append(listeners, l)
	}
	var serving sync.WaitGroup
	for i, l := range listeners {
		fmt.Printf("API listen on %s://%s\n", hosts[i].network, l.Addr())
		serving.Go(func() { serve(ctx, l) })
	}
	<-ctx.Done()
	for _, l := range listeners {
		_ = l.Close()
	}
	serving.Wait()
	return nil
}

type host struct{ network, address string }

// parse reads -H and --host, in every way in which dockerd takes them. The engine's own socket is no further address.
func parse(args []string) ([]host, error) {
	var hosts []host
	for len(args) > 0 {
		arg := args[0]
		args = args[1:]
		value, ok := "", false
		for _, flag := range []string{"--host=", "-H="} {
			if v, found := strings.CutPrefix(arg, flag); found {
				value, ok = v, true
			}
		}
		switch {
		case ok:
		case arg == "-H" || arg == "--host":
			if len(args) == 0 {
				return nil, fmt.Errorf("flag needs an argument: %s", arg)
			}
			value, args = args[0], args[1:]
		case strings.HasPrefix(arg, "-H"):
			value = arg[len("-H"):]
		case arg == "--help" || arg == "-h":
			return nil, nil
		default:
			return nil, fmt.Errorf("%s is not an option here: this session's engine runs already, with the session's limits (dockerd --help)", arg)
		}
		h, err := parseHost(value)
		if err != nil {
			return nil, err
		}
		if h.address != engine {
			hosts = append(hosts, h)
		}
	}
	return hosts, nil
}

func parseHost(value string) (host, error) {
	network, address, ok := strings.Cut(value, "://")
	switch {
	case ok && network == "unix" && strings.HasPrefix(address, "/"):
		return host{network, address}, nil
	case ok && network == "tcp":
		if address == "" {
			address = "localhost"
		}
		if _, _, err := net.SplitHostPort(address); err != nil {
			address = net.JoinHostPort(strings.Trim(address, "[]"), "2375") // IANA's for Docker
		}
		return host{network, address}, nil
	}
	return host{}, fmt.Errorf("invalid address %q: tcp://ADDRESS:PORT or unix:///PATH", value)
}

func serve(ctx context.Context, l net.Listener) {
	var connections sync.WaitGroup
	defer connections.Wait()
	for {
		c, err := l.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil { // too many files: the next may find room
			fmt.Fprintln(os.Stderr, "dockerd:", err)
			continue
		}
		connections.Go(func() {
			if err := pass(ctx, c); err != nil {
				fmt.Fprintln(os.Stderr, "dockerd:", err)
			}
		})
	}
}

// half is a connection of which one direction may end before the other.
type half interface {
	net.Conn
	CloseWrite() error
}

// pass joins a connection to the engine, until both directions have ended.
func pass(ctx context.Context, client net.Conn) error {
	defer client.Close()
	docker, err := (&net.Dialer{}).DialContext(ctx, "unix", engine)
	if err != nil {
		return err
	}
	defer docker.Close()
	stop := context.AfterFunc(ctx, func() { _ = errors.Join(client.Close(), docker.Close()) })
	defer stop()
	var directions sync.WaitGroup
	for _, d := range [][2]net.Conn{{docker, client}, {client, docker}} {
		directions.Go(func() {
			_, _ = io.Copy(d[0], d[1]) // either side may go: that is the end of it, and no error
			if w, ok := d[0].(half); ok {
				_ = w.CloseWrite()
			}
		})
	}
	directions.Wait()
	return nil
}
