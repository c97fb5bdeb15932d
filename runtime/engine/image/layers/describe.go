package layers

import (
	"context"
	"time"

	dockerspec "github.com/moby/docker-image-spec/specs-go/v1"

	"berth/runtime/engine/image"
)

// Image is what the inspector says of an image.
type Image struct {
	ID           string                          `json:"id"`
	Names        []string                        `json:"names"`
	Digests      []string                        `json:"digests"`
	Created      *time.Time                      `json:"created"`
	Size         int64                           `json:"size"` // bytes of the files of all layers
	Architecture string                          `json:"architecture"`
	OS           string                          `json:"os"`
	Variant      string                          `json:"variant,omitempty"`
	Author       string                          `json:"author,omitempty"`
	Config       dockerspec.DockerOCIImageConfig `json:"config"`
	Layers       []Layer                         `json:"layers"`
	Waste        Waste                           `json:"waste"`
}

// Layer is one step of an image's history, the first one first. Those that only changed the config are empty.
type Layer struct {
	Index       int        `json:"index"`
	DiffID      string     `json:"diff_id"`
	Digest      string     `json:"digest"` // of its archive, where that is known
	Size        int64      `json:"size"`   // bytes of its files
	Share       float64    `json:"share"`  // of the image
	Created     *time.Time `json:"created"`
	CreatedBy   string     `json:"created_by"`
	Comment     string     `json:"comment,omitempty"`
	Instruction string     `json:"instruction"`
	Empty       bool       `json:"empty"`
	Files       Sums       `json:"files"`

	stack int // the number of its layer, or of the one below where it is empty; -1: there is none below
}

// Image describes an image with its layers and its waste.
func (i *Inspector) Image(ctx context.Context, ref string) (Image, error) {
	img, err := i.images.Get(ctx, ref)
	if err != nil {
		return Image{}, err
	}
	steps, err := i.steps(ctx, img)
	if err != nil {
		return Image{}, err
	}
	d := Image{
		ID: img.ID, Names: append([]string{}, img.Names...), Digests: append([]string{}, img.Digests...), // never null
		Size: img.Size, Author: img.Config.Author,
		Architecture: img.Config.Architecture, OS: img.Config.OS, Variant: img.Config.Variant, Config: img.Config.Config, Layers: steps,
	}
	if !img.Created.IsZero() {
		d.Created = &img.Created
	}
	if len(img.Layers) == 0 {
		d.Waste = Waste{Efficiency: 1, Files: []WastedFile{}, Advice: []Advice{}}
		return d, nil
	}
	k, err := i.open(ctx, img)
	if err != nil {
		return Image{}, err
	}
	d.complete(k.stack)
	return d, nil
}

// complete adds what only the files tell, and numbers all layers as the history does.
func (d *Image) complete(s *Stack) {
	totals := s.Totals()
	says, at := make([]string, len(totals)), make([]int, len(totals))
	for n := range d.Layers {
		l := &d.Layers[n]
		if l.Empty {
			continue
		}
		l.Files, says[l.stack], at[l.stack] = totals[l.stack], l.Instruction, n
	}
	d.Waste = s.Waste()
	d.Waste.Advice = s.Advise(says)
	for n := range d.Waste.Files {
		for m, layer := range d.Waste.Files[n].Layers {
			d.Waste.Files[n].Layers[m] = at[layer]
		}
	}
	for n := range d.Waste.Advice {
		d.Waste.Advice[n].Layer = at[d.Waste.Advice[n].Layer]
	}
}

// steps joins history and layers. Layers that the history says nothing of are the lowest, as `docker history` has it.
func (i *Inspector) steps(ctx context.Context, img image.Image) ([]Layer, error) {
	sizes, err := i.images.LayerSizes(ctx, img)
	if err != nil {
		return nil, err
	}
	digests := i.images.LayerDigests(ctx, img)
	steps, next := []Layer{}, 0
	add := func(l Layer) {
		if !l.Empty && next == len(sizes) {
			l.Empty = true // a history of more layers than there are
		}
		if !l.Empty {
			l.DiffID, l.Digest, l.Size = img.Layers[next].String(), digests[next].String(), sizes[next]
			if img.Size > 0 {
				l.Share = float64(l.Size) / float64(img.Size)
			}
			next++
		}
		l.Index, l.stack = len(steps), next-1
		steps = append(steps, l)
	}
	told := 0
	for _, h := range img.Config.History {
		if !h.EmptyLayer {
			told++
		}
	}
	for range len(sizes) - told {
		add(Layer{})
	}
	for _, h := range img.Config.History {
		add(Layer{
			Created: h.Created, CreatedBy: h.CreatedBy, Comment: h.Comment, Empty: h.EmptyLayer,
			Instruction: Instruction(h.CreatedBy, h.Comment),
		})
	}
	return steps, nil
}
