// Package web is the server: its life, its routes, and everything that is asked of a request before a handler sees it:
// who sends it, under which host name, from which origin, how often.
package web

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"time"

	"berth/handlers"
)

// How long the parts of a request, and a shutdown, may take.
const (
	headerTimeout  = 10 * time.Second
	answerTimeout  = time.Minute // to answer and be read; streams have no such limit
	idleTimeout    = 2 * time.Minute
	shutdownGrace  = 5 * time.Second // requests that are under way at the end; streams end at once
	maxHeaderBytes = 32 << 10
)

// Config is what a Server needs.
type Config struct {
	Addr    string           // host:port; port 0 takes a free one
	DataDir string           // holds cookie.key and admin.token, which New makes where they are missing
	Manager handlers.Manager //
	Log     *slog.Logger     // nil: nothing is logged

	// Hosts are the names under which the server may be asked, e.g. "berth.example.org" or "berth.example.org:8443"
	// (then only with that port). localhost, the loopback addresses and the address listened on always work.
	Hosts []string
	// TrustedProxies may say in X-Forwarded-For and X-Forwarded-Proto whom they speak for. Others are not believed.
	TrustedProxies []netip.Prefix
	TLS            *tls.Config // nil: plain HTTP, e.g. behind a proxy
	Rate           Rate        // zero: DefaultRate
	Version        string      // told at /readyz
}

func (c *Config) check() error {
	if c.Manager == nil {
		return errors.New("web: Manager is needed")
	}
	if c.DataDir == "" {
		return errors.New("web: DataDir is needed")
	}
	if _, _, err := net.SplitHostPort(c.Addr); err != nil {
		return fmt.Errorf("address %q: write it as host:port, for example 127.0.0.1:8080: %w", c.Addr, err)
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Rate == (Rate{}) {
		c.Rate = DefaultRate()
	}
	return c.Rate.check()
}
