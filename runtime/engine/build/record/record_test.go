package record_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/buildkit/client"
	"github.com/moby/buildkit/solver/pb"
	"github.com/opencontainers/go-digest"
	"golang.org/x/sys/unix"

	"berth/runtime/engine/build/record"
)

var zero = time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)

func at(ms int) *time.Time {
	t := zero.Add(time.Duration(ms) * time.Millisecond)
	return &t
}

func id(name string) digest.Digest { return digest.FromString(name) }

// vertex is a message of a step; end 0: it goes on; begin 0: it has not begun.
func vertex(name string, begin, end int, inputs ...string) *client.Vertex {
	v := &client.Vertex{Digest: id(name), Name: name}
	if begin > 0 {
		v.Started = at(begin)
	}
	if end > 0 {
		v.Completed = at(end)
	}
	for _, in := range inputs {
		v.Inputs = append(v.Inputs, id(in))
	}
	return v
}

func open(t *testing.T, dir string) *record.Store {
	t.Helper()
	s, err := record.Open(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func begin(t *testing.T, s *record.Store, id string) *record.Build {
	t.Helper()
	b, err := s.Begin(record.About{ID: id, Source: record.FromPage, Context: "/root", Dockerfile: "Dockerfile"})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func events(t *testing.T, b *record.Build, after int) []record.Event {
	t.Helper()
	var all []record.Event
	if err := b.Follow(t.Context(), after, func(e record.Event) error {
		all = append(all, e)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	for i, e := range all {
		if e.Seq != after+1+i {
			t.Fatalf("event %d has number %d", i, e.Seq)
		}
	}
	return all
}

func whole(t *testing.T, b *record.Build) record.Whole {
	t.Helper()
	w, err := b.Whole()
	if err != nil {
		t.Fatal(err)
	}
	return w
}

const (
	load  = "[internal] load build context"
	from  = "[build 1/3] FROM docker.io/library/busybox:latest"
	run   = "[build 2/3] RUN echo hi"
	copyS = "[build 3/3] COPY . /src"
	last  = "[stage-1 1/1] COPY --from=build /src /src"
)

// feed is what BuildKit says of a build whose first step is in the cache and whose last fails: steps are told before they
// run, and begin and end twice where they are looked up first.
func feed(b *record.Build) {
	b.Plan([]record.Planned{
		{ID: id(from).String(), Name: from, Line: 1, EndLine: 1},
		{ID: id(run).String(), Name: run, Line: 3, EndLine: 4, Inputs: []string{id(from).String()}},
	})
	for _, s := range []*client.SolveStatus{
		{Vertexes: []*client.Vertex{vertex(load, 10, 0), vertex(from, 0, 0), vertex(run, 0, 0, from), vertex(copyS, 0, 0, run, load)}},
		{Statuses: []*client.VertexStatus{{ID: "transferring context:", Vertex: id(load), Name: "transferring", Current: 10, Timestamp: *at(20)}}},
		{Vertexes: []*client.Vertex{vertex(load, 10, 30)}},
		{Vertexes: []*client.Vertex{func() *client.Vertex { v := vertex(from, 31, 31); v.Cached = true; return v }()}},
		{Vertexes: []*client.Vertex{vertex(run, 40, 45, from)}},
		{Vertexes: []*client.Vertex{vertex(run, 50, 0, from)}},
		{Logs: []*client.VertexLog{
			{Vertex: id(run), Stream: 1, Data: []byte("gr\xc3"), Timestamp: *at(60)},
			{Vertex: id(run), Stream: 1, Data: []byte("\xbcn\n"), Timestamp: *at(60)},
			{Vertex: id(run), Stream: 2, Data: []byte("bad "), Timestamp: *at(70)},
		}},
		{Logs: []*client.VertexLog{{Vertex: id(run), Stream: 2, Data: []byte("end\n"), Timestamp: *at(80)}}},
		{Vertexes: []*client.Vertex{vertex(run, 50, 150, from)}},
		{Vertexes: []*client.Vertex{vertex(copyS, 151, 0, run, load)}, Warnings: []*client.VertexWarning{{
			Vertex: id(load), Short: []byte("StageNameCasing: Stage name 'B' should be lowercase (line 1)"), URL: "https://docs.docker.com/go/",
			Detail: [][]byte{[]byte("Stage names should be lowercase")}, Range: []*pb.Range{{Start: &pb.Position{Line: 1}, End: &pb.Position{Line: 1}}},
		}}},
		{Vertexes: []*client.Vertex{func() *client.Vertex { v := vertex(copyS, 151, 160, run, load); v.Error = "no such file"; return v }(), vertex(last, 0, 0, copyS)}},
	} {
		b.Status(s)
	}
}

func TestRecordOfABuild(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	b := begin(t, s, "one")
	b.Text([]byte("FROM busybox AS B\n"))
	feed(b)
	b.Size(id(run).String(), 42)
	if got := whole(t, b); got.State != record.Running || len(got.Steps) != 5 || got.Text == "" {
		t.Errorf("while it runs: %+v", got)
	}
	b.End(record.Outcome{State: record.Failed, Error: &record.Error{Message: "no such file", ExitCode: 3}})
	check := func(w record.Whole) {
		t.Helper()
		if w.State != record.Failed || w.EndedAt == nil || w.Error == nil || w.Error.Step != id(copyS).String() || w.Error.ExitCode != 3 {
			t.Errorf("summary %+v, error %+v", w.Summary, w.Error)
		}
		if w.Totals != (record.Totals{Steps: 4, Done: 2, Cached: 1}) {
			t.Errorf("totals %+v", w.Totals)
		}
		if want := (record.Warning{
			Rule: "StageNameCasing", Message: "Stage name 'B' should be lowercase", Detail: "Stage names should be lowercase",
			URL: "https://docs.docker.com/go/", Line: 1, EndLine: 1,
		}); len(w.Warnings) != 1 || w.Warnings[0] != want {
			t.Errorf("warnings %+v", w.Warnings)
		}
		var got []string
		for _, s := range w.Steps {
			size := int64(-1)
			if s.Size != nil {
				size = *s.Size
			}
			got = append(got, fmt.Sprintf("%s|%s|%v|%d-%d|%s|%d|%d|%s", s.Stage, s.Instruction, s.Internal, s.Line, s.EndLine, s.State, s.DurationMS, size, s.Error))
		}
		want := []string{
			"build|FROM docker.io/library/busybox:latest|false|1-1|cached|0|-1|",
			"build|RUN echo hi|false|3-4|succeeded|105|42|", // 5 ms to look it up, 100 to run it
			"|load build context|true|0-0|succeeded|20|-1|",
			"build|COPY . /src|false|0-0|failed|9|-1|no such file",
			"stage-1|COPY --from=build /src /src|false|0-0|cancelled|0|-1|",
		}
		if strings.Join(got, "\n") != strings.Join(want, "\n") {
			t.Errorf("steps\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
	check(whole(t, b))
	again := open(t, dir) // another engine
	kept, err := again.Get("one")
	if err != nil {
		t.Fatal(err)
	}
	check(whole(t, kept))
	if kept.Running() || len(events(t, kept, 0)) != len(events(t, b, 0)) {
		t.Error("the events of a kept build are others")
	}
}

func TestEventsAreCompleteAndInOrder(t *testing.T) {
	b := begin(t, open(t, t.TempDir()), "one")
	early := make(chan []record.Event, 1)
	go func() {
		var got []record.Event
		_ = b.Follow(t.Context(), 0, func(e record.Event) error { got = append(got, e); return nil }) // compared below
		early <- got
	}()
	feed(b)
	b.End(record.Outcome{State: record.Succeeded, Image: "sha256:1", ImageSize: 5})
	all := events(t, b, 0)
	if got := <-early; len(got) != len(all) {
		t.Errorf("who followed from the beginning saw %d events of %d", len(got), len(all))
	}
	if got := events(t, b, 7); len(got) != len(all)-7 {
		t.Errorf("after the seventh there are %d of %d", len(got), len(all))
	}
	if all[0].Kind != record.KindBuild || all[len(all)-1].Kind != record.KindEnd {
		t.Errorf("the first is %s, the last %s", all[0].Kind, all[len(all)-1].Kind)
	}
	var text strings.Builder
	known := map[string]bool{}
	for _, e := range all {
		switch e.Kind {
		case record.KindStep:
			var s record.Step
			if err := json.Unmarshal(e.Data, &s); err != nil {
				t.Fatal(err)
			}
			known[s.ID] = true
		case record.KindLog:
			var l record.Log
			if err := json.Unmarshal(e.Data, &l); err != nil {
				t.Fatal(err)
			}
			if !known[l.Step] {
				t.Errorf("output of a step that nobody has heard of: %q", l.Text)
			}
			text.WriteString(l.Text)
		}
	}
	if text.String() != "grün\nbad end\n" {
		t.Errorf("the log is %q", text.String())
	}
}

func TestPlainLog(t *testing.T) {
	b := begin(t, open(t, t.TempDir()), "one")
	feed(b)
	b.End(record.Outcome{State: record.Failed, Error: &record.Error{Message: "no such file"}})
	var out bytes.Buffer
	if err := b.Plain(t.Context(), &out); err != nil {
		t.Fatal(err)
	}
	want := `#1 [internal] load build context
#1 transferring context:
#1 DONE 0.0s

#2 [build 1/3] FROM docker.io/library/busybox:latest
#2 CACHED

#3 [build 2/3] RUN echo hi
#3 DONE 0.0s
#3 0.020 grün
#3 0.030 bad end
#3 DONE 0.1s

#4 [build 3/3] COPY . /src
#4 ERROR: no such file

ERROR: no such file
`
	if out.String() != want {
		t.Errorf("got\n%s\nwant\n%s", out.String(), want)
	}
}

func TestLogIsBounded(t *testing.T) {
	dir := t.TempDir()
	b := begin(t, open(t, dir), "one")
	b.Status(&client.SolveStatus{Vertexes: []*client.Vertex{vertex(run, 1, 0)}})
	chunk := bytes.Repeat([]byte("0123456789abcde\n"), 4096)
	for range 2 * record.MaxLog / len(chunk) {
		b.Status(&client.SolveStatus{Logs: []*client.VertexLog{{Vertex: id(run), Stream: 1, Data: chunk, Timestamp: *at(2)}}})
	}
	b.End(record.Outcome{State: record.Succeeded})
	n, said := 0, false
	for _, e := range events(t, b, 0) {
		if e.Kind == record.KindLog {
			var l record.Log
			if err := json.Unmarshal(e.Data, &l); err != nil {
				t.Fatal(err)
			}
			n += len(l.Text)
			said = strings.Contains(l.Text, "cut here")
		}
	}
	if n < record.MaxLog || n > record.MaxLog+200 || !said {
		t.Errorf("%d bytes of log are kept, and it is told: %v", n, said)
	}
	if info, err := os.Stat(filepath.Join(dir, "one", "events")); err != nil || info.Size() > 2*record.MaxLog {
		t.Errorf("%v, %v", info, err)
	}
}

func TestProgressIsToldNotTooOften(t *testing.T) {
	b := begin(t, open(t, t.TempDir()), "one")
	b.Status(&client.SolveStatus{Vertexes: []*client.Vertex{vertex(from, 1, 0)}})
	for i := range 10_000 {
		b.Status(&client.SolveStatus{Statuses: []*client.VertexStatus{{ID: fmt.Sprintf("layer %d", i%200), Vertex: id(from), Current: int64(i), Total: 10_000}}})
	}
	b.Status(&client.SolveStatus{Vertexes: []*client.Vertex{vertex(from, 1, 9)}})
	b.End(record.Outcome{State: record.Succeeded})
	all := events(t, b, 0)
	if len(all) > 50 {
		t.Errorf("%d events", len(all))
	}
	if w := whole(t, b); len(w.Steps[0].Progress) != 64 {
		t.Errorf("%d things are told", len(w.Steps[0].Progress))
	}
}

func TestForgetAndLimits(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	first := begin(t, s, "first")
	if err := s.Forget("first"); !errors.Is(err, errdefs.ErrConflict) {
		t.Errorf("forget one that runs: %v", err)
	}
	for _, bad := range []string{"", "../x", "a/b", ".", strings.Repeat("x", 65), "a\nb"} {
		if _, err := s.Begin(record.About{ID: bad}); !errors.Is(err, errdefs.ErrInvalidArgument) {
			t.Errorf("ID %q: %v", bad, err)
		}
	}
	if _, err := s.Begin(record.About{ID: "first"}); !errors.Is(err, errdefs.ErrAlreadyExists) {
		t.Errorf("an ID twice: %v", err)
	}
	var gone []string
	s.Forgot(func(id string) { gone = append(gone, id) })
	for i := range 105 {
		begin(t, s, fmt.Sprintf("b%d", i)).End(record.Outcome{State: record.Succeeded})
	}
	list := s.List()
	if len(list) != 100 || list[0].ID != "b104" || list[99].ID != "first" || len(gone) != 6 {
		t.Errorf("%d builds, from %s to %s; %d forgotten", len(list), list[0].ID, list[len(list)-1].ID, len(gone))
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 100 {
		t.Errorf("%d directories, %v", len(entries), err)
	}
	cause := error(nil)
	first.Cancellable(func(err error) { cause = err })
	if err := first.Cancel(); err != nil || !errors.Is(cause, record.ErrCancelled) {
		t.Errorf("cancel: %v, %v", err, cause)
	}
	first.End(record.Outcome{State: record.Cancelled})
	if err := first.Cancel(); !errors.Is(err, errdefs.ErrConflict) {
		t.Errorf("cancel one that has ended: %v", err)
	}
	if err := s.Forget("first"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Get("first"); !errors.Is(err, errdefs.ErrNotFound) {
		t.Errorf("a forgotten one: %v", err)
	}
}

// A build that runs when its machine ends has failed, and its events are what there is.
func TestBuildOfADeadEngine(t *testing.T) {
	dir := t.TempDir()
	feed(begin(t, open(t, dir), "one"))
	f, err := os.OpenFile(filepath.Join(dir, "one", "events"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString(`{"seq":99,"event":"st`); err != nil { // in the middle of a line
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(dir, "no build"), 0o700); err != nil {
		t.Fatal(err)
	}
	s := open(t, dir)
	b, err := s.Get("one")
	if err != nil {
		t.Fatal(err)
	}
	if w := whole(t, b); w.State != record.Failed || w.Error == nil {
		t.Errorf("%+v", w)
	}
	if n := len(events(t, b, 0)); n < 10 {
		t.Errorf("%d events", n)
	}
	if list := s.List(); len(list) != 1 {
		t.Errorf("%d builds", len(list))
	}
}

// A full disk loses no event that matters, and the record is whole when there is room again.
func TestFullDisk(t *testing.T) {
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=96k"); err != nil {
		t.Skipf("needs root: %v", err)
	}
	t.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) })
	b := begin(t, open(t, dir), "one")
	fill := filepath.Join(dir, "fill")
	if err := os.WriteFile(fill, make([]byte, 1<<20), 0o600); !errors.Is(err, unix.ENOSPC) {
		t.Fatalf("the disk is not full: %v", err)
	}
	feed(b)
	b.End(record.Outcome{State: record.Failed, Error: &record.Error{Message: "no space left on device"}})
	all := events(t, b, 0)
	if w := whole(t, b); all[len(all)-1].Kind != record.KindEnd || w.State != record.Failed || len(w.Steps) != 5 {
		t.Errorf("%d events, %+v", len(all), w)
	}
	if err := os.Remove(fill); err != nil {
		t.Fatal(err)
	}
	if w := whole(t, b); len(w.Steps) != 5 {
		t.Errorf("%+v", w)
	}
	events(t, b, 0) // writes what was left
	kept, err := open(t, dir).Get("one")
	if err != nil {
		t.Fatal(err)
	}
	if w := whole(t, kept); len(w.Steps) != 5 || len(events(t, kept, 0)) != len(all) {
		t.Errorf("kept: %d of %d events, %+v", len(events(t, kept, 0)), len(all), w)
	}
}

func TestFollowEndsWithItsContext(t *testing.T) {
	b := begin(t, open(t, t.TempDir()), "one")
	ctx, cancel := context.WithCancel(t.Context())
	err := b.Follow(ctx, 0, func(record.Event) error { cancel(); return nil })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	b.End(record.Outcome{State: record.Cancelled})
}
