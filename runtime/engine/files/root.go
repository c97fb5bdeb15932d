package files

import "os"

// Root opens a directory of the container as one that nothing below can leave. Close it.
func (t *Tree) Root(name string) (*os.Root, error) { return t.openRoot(name) }
