package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// What the inspector promises of an image of 1 GB with 40,000 files.
const (
	layersWithin  = 50 * time.Millisecond
	treeWithin    = 300 * time.Millisecond
	indexingGrows = 100 << 20 // bytes of the engine
	manyFiles     = 40_000
)

// largeImage builds that image: one layer of a gigabyte that does not compress, and one that wastes some of it.
const largeImage = `cd "$(mktemp -d)" && cat >Dockerfile <<'E' && docker build -q -t large . >/dev/null
FROM debian
RUN for d in $(seq 200); do mkdir -p /data/$d && head -c 5000000 /dev/urandom | split -a 3 -d -b 25000 - /data/$d/f; done
RUN rm -r /data/7
E`

// inspector opens a large image, again and again, and reads its largest layer.
func (b *bench) inspector(ctx context.Context, r *report) (err error) {
	m, err := b.open(ctx, "docker")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.end(ctx, m)) }()
	if err := b.sh(ctx, m, largeImage); err != nil {
		return err
	}
	engine, err := findProcess(func(cmdline string) bool { return cmdline == "berth\x00sandbox\x00"+string(m.id)+"\x00" }, 0)
	if err != nil {
		return err
	}
	var first time.Duration
	grown, err := growth(engine, func() (err error) {
		first, err = b.look(ctx, m, "/image", nil, new(struct{}))
		return err
	})
	if err != nil {
		return err
	}
	var layers, tree samples
	for range b.options.starts {
		var image struct{ Layers []struct{ Empty bool } }
		took, err := b.look(ctx, m, "/image", nil, &image)
		if err != nil {
			return err
		}
		var files struct {
			Total   int
			Entries []struct{ Path string }
		}
		whole := url.Values{"layer": {strconv.Itoa(len(image.Layers) - 2)}, "merged": {"0"}, "recursive": {"1"}, "limit": {"50000"}}
		more, err := b.look(ctx, m, "/image/tree", whole, &files)
		if err != nil {
			return err
		}
		if len(files.Entries) < manyFiles {
			return fmt.Errorf("the layer has %d entries, %d were shown: want %d", files.Total, len(files.Entries), manyFiles)
		}
		layers, tree = append(layers, took), append(tree, more)
	}
	const image = "an image of 1 GB, 40,000 files: "
	r.add(row{what: image + "its layers", ours: spread(layers), goal: "p50 ≤ 50 ms", met: layers.median() <= layersWithin, count: len(layers)})
	r.add(row{what: image + "all of a layer's tree", ours: spread(tree), goal: "p50 ≤ 300 ms", met: tree.median() <= treeWithin, count: len(tree)})
	r.add(row{
		what: image + "the engine grows while it reads by", ours: fmt.Sprintf("%.1f MB", float64(grown)/1e6), goal: "≤ 100 MB", met: grown <= indexingGrows, count: 1,
	})
	r.remark("%sopened for the first time in %.1f s", image, first.Seconds())
	return nil
}

// look asks the session's API about the large image, and returns when all of the answer has come.
func (b *bench) look(ctx context.Context, m *machine, path string, query url.Values, into any) (time.Duration, error) {
	if query == nil {
		query = url.Values{}
	}
	query.Set("image", "large")
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, b.server.url+"/api/v1/sessions/"+string(m.id)+path+"?"+query.Encode(), nil)
	if err != nil {
		return 0, err
	}
	req.Header.Set("Authorization", "Bearer "+b.server.token)
	began := time.Now()
	answer, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err
	}
	defer answer.Body.Close()
	var body json.RawMessage
	if err := json.NewDecoder(answer.Body).Decode(&body); err != nil {
		return 0, err
	}
	took := time.Since(began)
	if answer.StatusCode != http.StatusOK {
		return 0, fmt.Errorf("%s: %s: %.300s", path, answer.Status, body)
	}
	return took, json.Unmarshal(body, into)
}

// growth is how much more private memory a process has, at most, while do does something.
func growth(pid int, do func() error) (int64, error) {
	before, err := memoryOf(pid)
	if err != nil {
		return 0, err
	}
	done := make(chan error, 1)
	go func() { done <- do() }()
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for most := before; ; {
		select {
		case err := <-done:
			return most - before, err
		case <-tick.C:
			now, err := memoryOf(pid)
			if err != nil {
				return 0, errors.Join(err, <-done)
			}
			most = max(most, now)
		}
	}
}
