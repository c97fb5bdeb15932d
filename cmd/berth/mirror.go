package main

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// mirrorTimeout bounds the look-up of a mirror's name.
const mirrorTimeout = 10 * time.Second

// mirrorAddresses are the IPv4 addresses and ports of registry mirrors, HOST[:PORT] or URL: a mirror mostly has a private
// address, which sandboxes may not reach otherwise. A name is looked up once, when the server starts.
func mirrorAddresses(ctx context.Context, mirrors []string) ([]netip.AddrPort, error) {
	ctx, cancel := context.WithTimeout(ctx, mirrorTimeout)
	defer cancel()
	var all []netip.AddrPort
	for _, m := range mirrors {
		host, port, err := mirrorHost(m)
		if err != nil {
			return nil, fmt.Errorf("--registry-mirror %s: write HOST, HOST:PORT or a URL: %w", m, err)
		}
		found, err := net.DefaultResolver.LookupNetIP(ctx, "ip4", host)
		if err != nil {
			return nil, fmt.Errorf("--registry-mirror %s: %w", m, err)
		}
		for _, a := range found {
			all = append(all, netip.AddrPortFrom(a.Unmap(), port))
		}
	}
	return all, nil
}

func mirrorHost(mirror string) (host string, port uint16, err error) {
	if !strings.Contains(mirror, "://") {
		mirror = "https://" + mirror
	}
	u, err := url.Parse(mirror)
	if err != nil {
		return "", 0, err
	}
	text := u.Port()
	switch {
	case u.Hostname() == "":
		return "", 0, fmt.Errorf("it names no host")
	case text == "" && u.Scheme == "http":
		text = "80"
	case text == "":
		text = "443"
	}
	n, err := strconv.ParseUint(text, 10, 16)
	return u.Hostname(), uint16(n), err
}
