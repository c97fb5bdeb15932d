package network

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/miekg/dns"
)

// Timeouts. A stub resolver asks again after 5 s.
const (
	upstreamTimeout = 2 * time.Second // for one name server
	questionTimeout = 4 * time.Second // for all of them
)

// ask puts a question to one server after the other until one answers it. The answer has the question's id. It asks from
// the sandbox's namespace: a container may have no way there of its own.
func ask(ctx context.Context, servers []netip.Addr, q *dns.Msg, tcp bool) (*dns.Msg, error) {
	ctx, cancel := context.WithTimeout(ctx, questionTimeout)
	defer cancel()
	client := dns.Client{Timeout: upstreamTimeout, Net: "udp"}
	if tcp {
		client.Net = "tcp"
	}
	question := q.Copy()
	question.Id = dns.Id()
	var errs []error
	var last *dns.Msg
	for _, server := range servers {
		a, _, err := client.ExchangeContext(ctx, question, net.JoinHostPort(server.String(), "53"))
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
