package network

import (
	"context"
	"errors"
	"fmt"
	"os"
	goruntime "runtime"

	"golang.org/x/sys/unix"

	"berth/quotas"
)

// Probe tries all that sandboxes need of this kernel, interfaces, limits and rules, between two network namespaces of its
// own that vanish with it. The host's network is not touched.
func Probe(ctx context.Context) error {
	done := make(chan error, 1)
	go func() {
		goruntime.LockOSThread() // never unlocked: the thread ends with its namespace
		done <- probe(ctx)
	}()
	return <-done
}

func probe(ctx context.Context) (err error) {
	sandbox, err := newNamespace()
	if err != nil {
		return err
	}
	defer sandbox.Close()
	host, err := newNamespace() // in which this thread stays
	if err != nil {
		return err
	}
	defer host.Close()
	claims, err := os.MkdirTemp("", "berth-probe-")
	if err != nil {
		return fmt.Errorf("probe network: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(claims)) }()
	h, err := Open(Config{Instance: "probe", Claims: claims})
	if err != nil {
		return err
	}
	defer h.nl.Close()
	l, err := h.Allocate(ctx, "probe")
	if err != nil {
		return err
	}
	return l.Attach(ctx, sandbox, quotas.Limits{
		Bandwidth: 100e6, Egress: quotas.Egress{Ports: []string{"443"}, ConnectionsPerSecond: 10},
	})
}

// newNamespace moves the calling thread into a new network namespace, and returns it.
func newNamespace() (*os.File, error) {
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		return nil, fmt.Errorf("probe network: namespace: %w", err)
	}
	f, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		return nil, fmt.Errorf("probe network: namespace: %w", err)
	}
	return f, nil
}
