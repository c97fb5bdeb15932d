package main

import (
	"os"
	"runtime"
)

// leastProcessors is GOMAXPROCS on the smallest machine.
const leastProcessors = 4

// moreProcessors has twice as many threads run Go code as there are CPUs. With as many, a keystroke waits while each has a goroutine
// that computes, of a build or an image that is unpacked: 10 ms pass before the runtime takes a processor away from one. Threads that
// compute give way to one that wakes sooner than that, by the kernel.
func moreProcessors() {
	if os.Getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(max(leastProcessors, 2*runtime.NumCPU()))
	}
}
