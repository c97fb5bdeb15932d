package build

import (
	"runtime/debug"
	"sync"
	"time"
)

const (
	buildPercent = 200              // GOGC while something is built
	restAfter    = 10 * time.Second // without a build
)

// pace has the garbage collector run less often while something is built. The engine's own pace keeps an idle one small; a build
// would spend a fifth of its time on it.
type pace struct {
	mu      sync.Mutex
	clients int
	usual   int // GOGC otherwise
	raised  bool
	resting *time.Timer // nil: it has not been raised yet
}

func (p *pace) begin() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.resting != nil {
		p.resting.Stop()
	}
	if p.clients++; !p.raised {
		p.usual, p.raised = debug.SetGCPercent(buildPercent), true
	}
}

func (p *pace) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.clients--; p.clients == 0 {
		p.resting = time.AfterFunc(restAfter, p.rest)
	}
}

// rest gives back what the builds have taken.
func (p *pace) rest() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.clients > 0 || !p.raised {
		return
	}
	debug.SetGCPercent(p.usual)
	p.raised = false
	debug.FreeOSMemory()
}
