package dns

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"sync"

	"github.com/miekg/dns"
)

// upstreams are the name servers to ask, in order.
type upstreams struct {
	fixed []netip.AddrPort
	file  string

	mu      sync.Mutex
	read    fs.FileInfo // of the file when it was read last
	servers []string
}

// list returns the servers' addresses, as the file has them now.
func (u *upstreams) list() ([]string, error) {
	if len(u.fixed) > 0 {
		servers := make([]string, len(u.fixed))
		for i, a := range u.fixed {
			servers[i] = a.String()
		}
		return servers, nil
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	info, err := os.Stat(u.file)
	if err != nil {
		return nil, err
	}
	if u.read != nil && os.SameFile(info, u.read) && info.ModTime().Equal(u.read.ModTime()) && info.Size() == u.read.Size() {
		return u.servers, nil
	}
	config, err := dns.ClientConfigFromFile(u.file)
	if err != nil {
		return nil, err
	}
	u.read, u.servers = info, nil
	for _, s := range config.Servers {
		u.servers = append(u.servers, net.JoinHostPort(s, config.Port))
	}
	return u.servers, nil
}

// ask puts the question to one server after the other until one answers it. The answer has the question's id.
func (u *upstreams) ask(ctx context.Context, q *dns.Msg, protocol string) (*dns.Msg, error) {
	servers, err := u.list()
	if err != nil {
		return nil, fmt.Errorf("name servers: %w", err)
	}
	if len(servers) == 0 {
		return nil, fmt.Errorf("no name server in %s", u.file)
	}
	question := q.Copy()
	question.Id = dns.Id() // the sandbox's own could be guessed by the sandbox, and an answer forged
	client := dns.Client{Net: protocol, Timeout: upstreamTimeout}
	var errs []error
	var last *dns.Msg
	for _, server := range servers {
		a, _, err := client.ExchangeContext(ctx, question, server)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", server, err))
			if ctx.Err() != nil {
				break
			}
			continue
		}
		a.Id = q.Id
		if a.Rcode != dns.RcodeServerFailure && a.Rcode != dns.RcodeRefused {
			return a, nil
		}
		last = a // another may know
	}
	if last != nil {
		return last, nil
	}
	return nil, errors.Join(errs...)
}
