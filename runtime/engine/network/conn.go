package network

import (
	"errors"
	"fmt"
	"sync"

	"github.com/google/nftables"
)

// conn is a connection to nf_tables that stays open: closing one makes the kernel finish what it has put off, 20 ms.
type conn struct {
	mu sync.Mutex
	c  *nftables.Conn
}

// transact puts the steps in force together, or none of them.
func (c *conn) transact(steps ...func(*nftables.Conn) error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.c == nil {
		var err error
		if c.c, err = nftables.New(nftables.AsLasting()); err != nil {
			return fmt.Errorf("nftables: %w", err)
		}
	}
	var err error
	for _, step := range steps {
		err = errors.Join(err, step(c.c))
	}
	if err == nil {
		err = c.c.Flush()
	}
	if err != nil { // there may be answers left that nobody has read
		_ = c.c.CloseLasting()
		c.c = nil
		return fmt.Errorf("nftables: %w", err)
	}
	return nil
}

func (c *conn) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.c != nil {
		_ = c.c.CloseLasting() // it is gone one way or the other
		c.c = nil
	}
}
