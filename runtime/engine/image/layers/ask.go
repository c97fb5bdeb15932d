package layers

import (
	"context"
	"fmt"
	"os"

	"github.com/containerd/errdefs"

	"berth/runtime/engine/image"
)

// at finds the stack of an image, and what the history's step number n is in it.
func (i *Inspector) at(ctx context.Context, ref string, n int) (img image.Image, k *kept, steps []Layer, layer int, err error) {
	if img, err = i.images.Get(ctx, ref); err != nil {
		return img, nil, nil, 0, err
	}
	if steps, err = i.steps(ctx, img); err != nil {
		return img, nil, nil, 0, err
	}
	if n < 0 {
		n = len(steps) - 1
	}
	if n >= len(steps) || n < 0 || steps[n].stack < 0 {
		return img, nil, nil, 0, errdefs.ErrNotFound.WithMessage(fmt.Sprintf("The image has no layer %d with files in it or below.", n))
	}
	k, err = i.open(ctx, img)
	return img, k, steps, steps[n].stack, err
}

// Tree lists a part of an image. q.Layer is a number of Image.Layers; -1 is the highest. Steps that changed no file show
// nothing of their own.
func (i *Inspector) Tree(ctx context.Context, ref string, q Query) (Page, error) {
	_, k, steps, layer, err := i.at(ctx, ref, q.Layer)
	if err != nil {
		return Page{}, err
	}
	if q.Layer >= 0 && steps[q.Layer].Empty && !q.Merged {
		return Page{Entries: []Entry{}}, nil
	}
	q.Layer = layer
	p, err := k.stack.List(q)
	if err != nil {
		return Page{}, err
	}
	at := numbers(steps)
	for n := range p.Entries {
		e := &p.Entries[n]
		e.Owner, e.Group, e.Layer = k.owners.users[e.UID], k.owners.groups[e.GID], at[e.Layer]
	}
	return p, nil
}

// numbers are those of the steps that made the layers.
func numbers(steps []Layer) []int {
	at := []int{}
	for n, l := range steps {
		if !l.Empty {
			at = append(at, n)
		}
	}
	return at
}

// Open opens a file as it is when the layers end with that one, links followed. Close it.
func (i *Inspector) Open(ctx context.Context, ref string, layer int, name string) (*os.File, error) {
	img, k, _, n, err := i.at(ctx, ref, layer)
	if err != nil {
		return nil, err
	}
	v, full, err := k.stack.resolve(name, n)
	if err != nil {
		return nil, err
	}
	if k.stack.entry(v).kind != File {
		return nil, notRegular(name)
	}
	dirs, release, err := i.images.LayerDirs(ctx, img)
	if err != nil {
		return nil, err
	}
	defer release()
	return openFile(dirs[v.layer], full)
}
