package layers

// Kept is how many stacks are in memory.
func (i *Inspector) Kept() int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return len(i.stacks)
}

// Forget is what happens when nobody has asked for a while.
func (i *Inspector) Forget() { i.forget() }
