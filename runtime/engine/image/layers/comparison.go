package layers

import (
	"bytes"
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"berth/runtime/engine/image"
)

// Comparison is how one image differs from another.
type Comparison struct {
	A      Side        `json:"a"`
	B      Side        `json:"b"`
	Shared Shared      `json:"shared"`
	Layers []LayerPair `json:"layers"`
	Files  Differences `json:"files"`
	Config []Field     `json:"config"` // only what differs
}

// Side names one of the two.
type Side struct {
	ID           string   `json:"id"`
	Names        []string `json:"names"`
	Size         int64    `json:"size"` // bytes
	Architecture string   `json:"architecture"`
	OS           string   `json:"os"`
}

// Shared is what both are made of.
type Shared struct {
	Layers int   `json:"layers"`
	Bytes  int64 `json:"bytes"`
}

// LayerPair is a layer that both have, or one of them.
type LayerPair struct {
	In          string `json:"in"` // a, b, both
	DiffID      string `json:"diff_id"`
	Instruction string `json:"instruction"`
	Size        int64  `json:"size"`
}

// Field is a part of the configuration.
type Field struct {
	Name string `json:"name"`
	A    string `json:"a"`
	B    string `json:"b"`
}

// Compare tells how image b differs from image a.
func (i *Inspector) Compare(ctx context.Context, a, b string) (Comparison, error) {
	imgA, stepsA, sideA, doneA, err := i.side(ctx, a)
	if err != nil {
		return Comparison{}, err
	}
	defer doneA()
	imgB, stepsB, sideB, doneB, err := i.side(ctx, b)
	if err != nil {
		return Comparison{}, err
	}
	defer doneB()
	c := Comparison{A: describeSide(imgA), B: describeSide(imgB), Layers: pair(stepsA, stepsB), Config: fields(imgA.Config, imgB.Config)}
	for _, l := range c.Layers {
		if l.In == "both" {
			c.Shared.Layers++
			c.Shared.Bytes += l.Size
		}
	}
	c.Files, err = compare(ctx, sideA, sideB)
	return c, err
}

func (i *Inspector) side(ctx context.Context, ref string) (img image.Image, steps []Layer, s side, done func(), err error) {
	if img, err = i.images.Get(ctx, ref); err != nil {
		return img, nil, s, nil, err
	}
	if steps, err = i.steps(ctx, img); err != nil {
		return img, nil, s, nil, err
	}
	if len(img.Layers) == 0 {
		nothing := &Index{entries: []entry{{kind: Directory, end: 1}}}
		return img, steps, side{NewStack([]*Index{nothing}), []string{""}, []string{""}}, func() {}, nil
	}
	k, err := i.open(ctx, img)
	if err != nil {
		return img, nil, s, nil, err
	}
	dirs, done, err := i.images.LayerDirs(ctx, img)
	if err != nil {
		return img, nil, s, nil, err
	}
	s = side{k.stack, dirs, nil}
	for _, d := range img.Layers {
		s.ids = append(s.ids, d.String())
	}
	return img, steps, s, done, nil
}

func describeSide(img image.Image) Side {
	return Side{ID: img.ID, Names: append([]string{}, img.Names...), Size: img.Size, Architecture: img.Config.Architecture, OS: img.Config.OS}
}

// pair lists the layers of both: those that they share first, as they lie, then the first's own and the second's own.
func pair(a, b []Layer) []LayerPair {
	list := []LayerPair{}
	has := func(steps []Layer, id string) bool {
		return slices.ContainsFunc(steps, func(l Layer) bool { return l.DiffID == id })
	}
	add := func(steps []Layer, in string, want func(id string) bool) {
		for _, l := range steps {
			if !l.Empty && want(l.DiffID) {
				list = append(list, LayerPair{In: in, DiffID: l.DiffID, Instruction: l.Instruction, Size: l.Size})
			}
		}
	}
	add(a, "both", func(id string) bool { return has(b, id) })
	add(a, "a", func(id string) bool { return !has(b, id) })
	add(b, "b", func(id string) bool { return !has(a, id) })
	return list
}

// fields compares configurations by the names that JSON has for their parts; environment and labels one by one.
func fields(a, b image.Config) []Field {
	x, y := flat(a), flat(b)
	names := slices.Collect(maps.Keys(x))
	for n := range y {
		if _, ok := x[n]; !ok {
			names = append(names, n)
		}
	}
	slices.Sort(names)
	list := []Field{}
	for _, n := range names {
		if x[n] != y[n] {
			list = append(list, Field{Name: n, A: x[n], B: y[n]})
		}
	}
	return list
}

func flat(c image.Config) map[string]string {
	all := map[string]string{"Architecture": c.Architecture, "Os": c.OS, "Variant": c.Variant, "Author": c.Author}
	var parts map[string]json.RawMessage
	var body bytes.Buffer
	plain := json.NewEncoder(&body)
	plain.SetEscapeHTML(false)
	if plain.Encode(c.Config) != nil || json.Unmarshal(body.Bytes(), &parts) != nil {
		return all // what was read from JSON is JSON
	}
	for name, raw := range parts {
		var labels map[string]string
		switch {
		case name == "Env":
		case name == "Labels" && json.Unmarshal(raw, &labels) == nil:
			for k, v := range labels {
				all["Label "+k] = v
			}
		default:
			all[name] = strings.Trim(string(raw), `"`)
		}
	}
	for _, e := range c.Config.Env {
		k, v, _ := strings.Cut(e, "=")
		all["Env "+k] = v
	}
	return all
}
