package layers

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"time"

	"berth/runtime/engine/image"
)

// What stays in memory between requests. A path of a stack takes some 100 bytes.
const (
	maxStacks = 4
	maxPaths  = 200_000 // of all stacks that are kept; the one that was asked for last stays, whatever its size
	idle      = 2 * time.Minute
)

// Inspector looks into the images of a session. It is safe for concurrent use.
type Inspector struct {
	images *image.Store
	files  files
	log    *slog.Logger

	reading chan struct{} // one image is read at a time: this bounds the memory

	mu     sync.Mutex
	stacks []*kept // last used first
	timer  *time.Timer
}

// kept is the stack of one image, and who is who in it.
type kept struct {
	id     string
	stack  *Stack
	owners owners
}

// New makes an Inspector that keeps its indexes below dir, a directory of its own.
func New(images *image.Store, dir string, log *slog.Logger) *Inspector {
	return &Inspector{images: images, files: files{dir}, log: log, reading: make(chan struct{}, 1)}
}

// open returns the stack of an image, reading the layers that are not known yet.
func (i *Inspector) open(ctx context.Context, img image.Image) (*kept, error) {
	if k := i.recall(img.ID); k != nil {
		return k, nil
	}
	select {
	case i.reading <- struct{}{}:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	defer func() { <-i.reading }()
	if ctx.Err() != nil { // whoever has waited may have left
		return nil, context.Cause(ctx)
	}
	if k := i.recall(img.ID); k != nil { // another has read it meanwhile
		return k, nil
	}
	dirs, release, err := i.images.LayerDirs(ctx, img)
	if err != nil {
		return nil, err
	}
	defer release()
	list := make([]*Index, len(dirs))
	entries := 0
	for n, dir := range dirs {
		if list[n], err = i.index(ctx, img, n, dir); err != nil {
			return nil, fmt.Errorf("layer %d of image %s: %w", n+1, img.ID, err)
		}
		if entries += list[n].Len(); entries > maxEntries {
			return nil, errTooMany()
		}
	}
	k := &kept{id: img.ID, stack: NewStack(list)}
	k.owners = k.stack.readOwners(dirs)
	i.remember(k)
	return k, nil
}

func (i *Inspector) index(ctx context.Context, img image.Image, n int, dir string) (*Index, error) {
	id := img.Layers[n]
	for m, other := range img.Layers[:n] {
		if other == id { // the same layer twice
			return i.index(ctx, img, m, dir)
		}
	}
	if x := i.files.load(id); x != nil {
		return x, nil
	}
	x, err := Scan(ctx, filepath.Clean(dir))
	if err != nil {
		return nil, err
	}
	if err := i.files.save(id, x); err != nil {
		i.log.Warn("keep the index of a layer", "layer", id, "error", err) // a full disk: it is read again the next time
	}
	return x, nil
}

func (i *Inspector) recall(id string) *kept {
	i.mu.Lock()
	defer i.mu.Unlock()
	for n, k := range i.stacks {
		if k.id == id {
			copy(i.stacks[1:n+1], i.stacks[:n])
			i.stacks[0] = k
			i.timer.Reset(idle)
			return k
		}
	}
	return nil
}

func (i *Inspector) remember(k *kept) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.stacks = append([]*kept{k}, i.stacks...)
	paths := 0
	for n, k := range i.stacks {
		if paths += k.stack.Len(); n > 0 && (n == maxStacks || paths > maxPaths) {
			i.stacks = i.stacks[:n:n]
			break
		}
	}
	if i.timer == nil {
		i.timer = time.AfterFunc(idle, i.forget)
	}
	i.timer.Reset(idle)
}

// forget gives the memory back when nobody has asked for a while.
func (i *Inspector) forget() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.stacks = nil
}
