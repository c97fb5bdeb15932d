package network

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync"
)

// programs remembers whose a listening socket is: to find out, the descriptors of all processes must be looked at.
type programs struct {
	mu    sync.Mutex
	known map[string]string // inode → name; empty: nobody's that we can see
}

// name says which programs have the ports that are no container's.
func (p *programs) name(ctx context.Context, sockets []socket, byPort map[uint16]*Listener) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	now, unknown := map[string]string{}, map[string]bool{}
	for _, s := range sockets {
		if byPort[s.at.Port()].Container != "" {
			continue
		}
		if name, ok := p.known[s.inode]; ok {
			now[s.inode] = name
		} else {
			unknown[s.inode] = true
		}
	}
	if len(unknown) > 0 {
		if err := findPrograms(ctx, unknown, now); err != nil {
			return err
		}
	}
	p.known = now
	for _, s := range sockets {
		if l := byPort[s.at.Port()]; l.Process == "" {
			l.Process = now[s.inode]
		}
	}
	return nil
}

// findPrograms looks for the processes that have sockets open, and notes their names.
func findPrograms(ctx context.Context, inodes map[string]bool, names map[string]string) error {
	for inode := range inodes {
		names[inode] = ""
	}
	processes, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return err
	}
	left := len(inodes)
	for _, dir := range processes {
		if err := context.Cause(ctx); err != nil {
			return err
		}
		descriptors, err := os.ReadDir(filepath.Join(dir, "fd"))
		if err != nil {
			continue // it has ended, or is not ours
		}
		for _, d := range descriptors {
			target, err := os.Readlink(filepath.Join(dir, "fd", d.Name()))
			inode, ok := strings.CutPrefix(target, "socket:[")
			inode = strings.TrimSuffix(inode, "]")
			if err != nil || !ok || !inodes[inode] || names[inode] != "" {
				continue
			}
			comm, err := os.ReadFile(filepath.Join(dir, "comm"))
			if err != nil {
				continue
			}
			names[inode] = strings.TrimSpace(string(comm))
			left--
		}
		if left == 0 {
			return nil
		}
	}
	return nil
}
