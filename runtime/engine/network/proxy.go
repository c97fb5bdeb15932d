package network

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/moby/moby/api/types/network"
)

// dialTimeout bounds how long a published port's client waits for the container.
const dialTimeout = 10 * time.Second

// holder holds a published port. Packets of IPv4 are passed on by the kernel's rules and never reach its socket; what does
// are clients over IPv6 ("localhost" often is ::1), which are passed on here.
type holder struct {
	close func()
}

// hold takes a port of the host.
func (m *Manager) hold(protocol network.IPProtocol, at, to netip.AddrPort) (holder, error) {
	ctx, cancel := context.WithCancel(m.ctx)
	family := "4"
	if at.Addr().Is6() {
		family = "6" // and only that: net sets IPV6_V6ONLY
	}
	var lc net.ListenConfig
	if protocol == network.UDP {
		c, err := lc.ListenPacket(ctx, "udp"+family, at.String())
		cancel()
		if err != nil {
			return holder{}, err
		}
		return holder{func() { _ = c.Close() }}, nil
	}
	l, err := lc.Listen(ctx, "tcp"+family, at.String())
	if err != nil {
		cancel()
		return holder{}, err
	}
	var done sync.WaitGroup
	done.Go(func() { accept(ctx, l, to, &done) })
	stop := context.AfterFunc(ctx, func() { _ = l.Close() })
	return holder{func() {
		cancel()
		stop()
		_ = l.Close()
		done.Wait()
	}}, nil
}

// accept passes connections on until the listener is closed.
func accept(ctx context.Context, l net.Listener, to netip.AddrPort, done *sync.WaitGroup) {
	for {
		c, err := l.Accept()
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				return
			}
			select { // out of descriptors: wait for some to come back
			case <-time.After(100 * time.Millisecond):
				continue
			case <-ctx.Done():
				return
			}
		}
		done.Go(func() { passOn(ctx, c, to) })
	}
}

// passOn copies both ways until both sides have ended theirs.
func passOn(ctx context.Context, client net.Conn, to netip.AddrPort) {
	defer client.Close()
	dialer := net.Dialer{Timeout: dialTimeout}
	server, err := dialer.DialContext(ctx, "tcp", to.String())
	if err != nil {
		return // the client sees the connection end, as with Docker's proxy
	}
	defer server.Close()
	stop := context.AfterFunc(ctx, func() { _ = client.Close(); _ = server.Close() })
	defer stop()
	var both sync.WaitGroup
	both.Go(func() { oneWay(server, client) })
	oneWay(client, server)
	both.Wait()
}

// oneWay copies to the end and hands the end on. Between two TCP sockets Go lets the kernel copy: splice(2).
func oneWay(to, from net.Conn) {
	_, err := io.Copy(to, from)
	if c, ok := to.(*net.TCPConn); ok {
		_ = c.CloseWrite() // the other side has gone
	}
	if c, ok := from.(*net.TCPConn); ok && err != nil {
		_ = c.CloseRead()
	}
}
