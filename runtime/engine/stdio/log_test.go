package stdio_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"berth/runtime/engine/stdio"
)

// TestLogIsDockersFormat checks the bytes of the file: fields, escapes, what has no end, and long lines in pieces.
func TestLogIsDockersFormat(t *testing.T) {
	dir, w := openLog(t, stdio.LogConfig{Attrs: map[string]string{"tier": "a b"}})
	long := strings.Repeat("x", 16<<10)
	w.Write(stdio.Stdout, []byte("tab\t\"quote\" <&> \x01\r\n\xff"))
	w.Write(stdio.Stderr, []byte("\n"+long+"12\n"))
	w.Write(stdio.Stdout, []byte("end\u2028"))
	w.Close()
	b, err := os.ReadFile(stdio.LogPath(dir))
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		`{"log":"tab\u0009\"quote\" \u003c\u0026\u003e \u0001\r\n","stream":"stdout","attrs":{"tier":"a b"},"time":"`,
		`{"log":"\n","stream":"stderr","attrs":{"tier":"a b"},"time":"`,
		`{"log":"` + long + `","stream":"stderr","attrs":{"tier":"a b"},"time":"`,
		`{"log":"12\n","stream":"stderr","attrs":{"tier":"a b"},"time":"`,
		`{"log":"\ufffdend\u2028","stream":"stdout","attrs":{"tier":"a b"},"time":"`,
	}
	for i, line := range strings.SplitAfter(string(b), "\n") {
		if i == len(want) {
			break
		}
		rest, ok := strings.CutPrefix(line, want[i])
		stamp, closed := strings.CutSuffix(rest, "\"}\n")
		if _, err := time.Parse(time.RFC3339Nano, stamp); !ok || !closed || err != nil || !strings.HasSuffix(stamp, "Z") {
			t.Errorf("line %d: %q, %v", i, line, err)
		}
	}
	if filepath.Base(stdio.LogPath(dir)) != filepath.Base(dir)+"-json.log" {
		t.Errorf("the file is %s", stdio.LogPath(dir))
	}
}

// TestPiecesOfLinesKeepCharactersWhole checks a long line of long characters.
func TestPiecesOfLinesKeepCharactersWhole(t *testing.T) {
	dir, w := openLog(t, stdio.LogConfig{})
	line := "a" + strings.Repeat("€", 20_000) + "\n"
	for i := range len(line) {
		w.Write(stdio.Stdout, []byte{line[i]})
	}
	if got := readLog(t, dir, everything()); got != line {
		t.Errorf("%d bytes of %d", len(got), len(line))
	}
}

// TestTextIsAsDockerPrints checks timestamps and details.
func TestTextIsAsDockerPrints(t *testing.T) {
	l := stdio.LogLine{
		Time: time.Date(2024, 2, 3, 4, 5, 6, 7000, time.FixedZone("", 3600)), Line: []byte("hi\n"),
		Attrs: map[string]string{"b": "x y", "a": "1"},
	}
	for _, tc := range []struct {
		timestamps, details bool
		want                string
	}{
		{false, false, "hi\n"},
		{true, false, "2024-02-03T03:05:06.000007000Z hi\n"},
		{false, true, "a=1,b=x+y hi\n"},
		{true, true, "2024-02-03T03:05:06.000007000Z a=1,b=x+y hi\n"},
	} {
		if got := string(l.Text(tc.timestamps, tc.details)); got != tc.want {
			t.Errorf("%q, want %q", got, tc.want)
		}
	}
}

// fill writes numbered lines.
func fill(w *stdio.LogWriter, from, to int) {
	for i := from; i < to; i++ {
		w.Write(stdio.Stdout, fmt.Appendf(nil, "line %d\n", i))
	}
}

// numbered is what fill writes.
func numbered(from, to int) string {
	var b strings.Builder
	for i := from; i < to; i++ {
		fmt.Fprintf(&b, "line %d\n", i)
	}
	return b.String()
}

// TestRotationKeepsTheLastFiles checks sizes and numbers of files, and that what is left has no gap.
func TestRotationKeepsTheLastFiles(t *testing.T) {
	for _, files := range []int{1, 2, 5} {
		dir, w := openLog(t, stdio.LogConfig{MaxSize: 4096, MaxFiles: files})
		fill(w, 0, 1000)
		found, err := filepath.Glob(filepath.Join(dir, "*"))
		if err != nil || len(found) != files {
			t.Errorf("%d files: %v, %v", files, found, err)
		}
		for _, f := range found {
			if info, err := os.Stat(f); err != nil || info.Size() > 4096 {
				t.Errorf("%s: %d bytes, %v", f, info.Size(), err)
			}
		}
		got := readLog(t, dir, everything())
		if n := strings.Count(got, "\n"); got != numbered(1000-n, 1000) || n == 0 {
			t.Errorf("%d files hold %d lines: %q", files, n, got)
		}
	}
}

// TestOneLargeWriteIsRotatedToo checks that no write makes a file larger than it may be.
func TestOneLargeWriteIsRotatedToo(t *testing.T) {
	dir, w := openLog(t, stdio.LogConfig{MaxSize: 4096, MaxFiles: 100})
	w.Write(stdio.Stdout, []byte(numbered(0, 1000)))
	if got := readLog(t, dir, everything()); got != numbered(0, 1000) {
		t.Errorf("%d bytes", len(got))
	}
	found, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(found) < 10 {
		t.Errorf("%d files, %v", len(found), err)
	}
}

// TestTailCountsFromTheEnd checks tails within a file, across files, and of more than there is.
func TestTailCountsFromTheEnd(t *testing.T) {
	dir, w := openLog(t, stdio.LogConfig{MaxSize: 100 << 10, MaxFiles: 10})
	const n = 5000 // some 400 KB
	fill(w, 0, n)
	for _, tail := range []int{0, 1, 2, 100, 1000, 2500, n - 1, n, n + 1, 1 << 40, stdio.All, -5} {
		o := everything()
		o.Tail = tail
		from := n - tail
		if tail < 0 || tail > n {
			from = 0
		}
		if got := readLog(t, dir, o); got != numbered(from, n) {
			t.Errorf("tail %d: %d lines", tail, strings.Count(got, "\n"))
		}
	}
}

// TestLogIsFilteredByTimeAndStream checks since, until, stdout and stderr.
func TestLogIsFilteredByTimeAndStream(t *testing.T) {
	dir := t.TempDir()
	var b bytes.Buffer
	at := time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)
	for i := range 10 {
		stream := []string{"stdout", "stderr"}[i%2]
		fmt.Fprintf(&b, `{"log":"%d\n","stream":%q,"time":%q}`+"\n", i, stream, at.Add(time.Duration(i)*time.Second).Format(time.RFC3339Nano))
	}
	if err := os.WriteFile(stdio.LogPath(dir), b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	for want, o := range map[string]stdio.LogOptions{
		"0 1 2 3 4 5 6 7 8 9": {Stdout: true, Stderr: true, Tail: -1},
		"0 2 4 6 8":           {Stdout: true, Tail: -1},
		"5 7 9":               {Stderr: true, Tail: -1, Since: at.Add(4 * time.Second)},
		"4 5 6":               {Stdout: true, Stderr: true, Tail: -1, Since: at.Add(4 * time.Second), Until: at.Add(6 * time.Second)},
		"8 9":                 {Stdout: true, Stderr: true, Tail: 2, Since: at, Follow: true},
		"8":                   {Stdout: true, Tail: 2},
	} {
		if got := strings.Join(strings.Fields(readLog(t, dir, o)), " "); got != want {
			t.Errorf("%+v: %s, want %s", o, got, want)
		}
	}
}

// TestFollowerGetsAllThroughRotation checks a reader beside a writer, of which it misses nothing, and that ends with it.
func TestFollowerGetsAllThroughRotation(t *testing.T) {
	dir, w := openLog(t, stdio.LogConfig{MaxSize: 32 << 10, MaxFiles: 100})
	fill(w, 0, 100)
	o := everything()
	o.Follow, o.Writer = true, w
	const n = 10_000
	first := make(chan struct{})
	go func() {
		<-first // the reader is at it
		fill(w, 100, n)
		w.Write(stdio.Stdout, []byte("end"))
		w.Close()
	}()
	var got bytes.Buffer
	err := stdio.ReadLog(t.Context(), dir, o, func(l stdio.LogLine) error {
		if got.Len() == 0 {
			close(first)
		}
		_, err := got.Write(l.Line)
		return err
	})
	if err != nil || got.String() != numbered(0, n)+"end" {
		t.Errorf("%d bytes of %d, %v", got.Len(), len(numbered(0, n))+3, err)
	}
}

// TestFollowerThatIsLateGoesOnWithWhatIsLeft checks one whose files have been removed.
func TestFollowerThatIsLateGoesOnWithWhatIsLeft(t *testing.T) {
	dir, w := openLog(t, stdio.LogConfig{MaxSize: 1024, MaxFiles: 2})
	fill(w, 0, 1)
	o := everything()
	o.Follow, o.Writer = true, w
	var got []string
	err := stdio.ReadLog(t.Context(), dir, o, func(l stdio.LogLine) error {
		if len(got) == 0 {
			fill(w, 1, 1000)
			w.Close()
		}
		got = append(got, string(l.Line))
		return nil
	})
	if err != nil || len(got) < 5 || got[len(got)-1] != "line 999\n" {
		t.Errorf("%q, %v", got, err)
	}
	if !slices.IsSortedFunc(got, func(a, b string) int { return len(a) - len(b) }) { // line 1 before line 10
		t.Errorf("out of order: %q", got)
	}
}

// TestFollowerEndsWhenAskedTo checks until, and a context.
func TestFollowerEndsWhenAskedTo(t *testing.T) {
	dir, w := openLog(t, stdio.LogConfig{})
	fill(w, 0, 1)
	o := everything()
	o.Follow, o.Writer, o.Until = true, w, time.Now().Add(50*time.Millisecond)
	if got := readLog(t, dir, o); got != numbered(0, 1) {
		t.Errorf("%q", got)
	}
	o.Until = time.Time{}
	ctx, cancel := context.WithCancel(t.Context())
	wantIs(t, stdio.ReadLog(ctx, dir, o, func(stdio.LogLine) error {
		cancel()
		return nil
	}), context.Canceled)
}

// TestHalfAnEntryIsCutOff checks the log of an engine that was killed while it wrote.
func TestHalfAnEntryIsCutOff(t *testing.T) {
	dir, w := openLog(t, stdio.LogConfig{})
	fill(w, 0, 3)
	w.Close()
	f, err := os.OpenFile(stdio.LogPath(dir), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(f, `{"log":"half an en`)
	f.Close()
	o := everything()
	o.Tail = 2
	if got := readLog(t, dir, o); got != numbered(1, 3) {
		t.Errorf("while stopped: %q", got)
	}
	if w, err = stdio.OpenLog(dir, stdio.LogConfig{}); err != nil {
		t.Fatal(err)
	}
	fill(w, 3, 4)
	w.Close()
	if got := readLog(t, dir, everything()); got != numbered(0, 4) {
		t.Errorf("after the next start: %q", got)
	}
}

// TestRotationThatWasCutShortLosesNothing checks the log of an engine that was killed between two renames.
func TestRotationThatWasCutShortLosesNothing(t *testing.T) {
	dir, w := openLog(t, stdio.LogConfig{})
	fill(w, 0, 3)
	w.Close()
	if err := os.Rename(stdio.LogPath(dir), stdio.LogPath(dir)+".1"); err != nil {
		t.Fatal(err)
	}
	if got := readLog(t, dir, everything()); got != numbered(0, 3) {
		t.Errorf("while stopped: %q", got)
	}
}

// TestFullDiskLosesOnlyWhatItCannotHold checks that writing goes on, that the loss is noted once, and that entries are whole
// and are written again when there is room.
func TestFullDiskLosesOnlyWhatItCannotHold(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: a small disk is mounted")
	}
	disk := t.TempDir()
	if err := unix.Mount("small", disk, "tmpfs", 0, "size=64k"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Unmount(disk, unix.MNT_DETACH) })
	var notes buffer
	w, err := stdio.OpenLog(disk, stdio.LogConfig{Logger: slog.New(slog.NewTextHandler(&notes, nil))})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	filler := filepath.Join(disk, "filler")
	if err := os.WriteFile(filler, make([]byte, 32<<10), 0o600); err != nil {
		t.Fatal(err)
	}
	fill(w, 0, 2000)
	if n := strings.Count(notes.String(), "level=ERROR"); n != 1 {
		t.Errorf("noted %d times:\n%s", n, &notes)
	}
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	fill(w, 2000, 2001)
	w.Close()
	got := readLog(t, disk, everything())
	n := strings.Count(got, "\n") - 1
	if got != numbered(0, n)+numbered(2000, 2001) || n == 0 {
		t.Errorf("%d lines: …%q", n, got[max(0, len(got)-60):])
	}
	if !strings.Contains(notes.String(), "lost_bytes=") {
		t.Errorf("noted:\n%s", &notes)
	}
}

// FuzzReadLog checks that a reader takes any file: it neither fails nor makes entries up, and a tail is the end of all.
func FuzzReadLog(f *testing.F) {
	f.Add([]byte(`{"log":"a\n","stream":"stdout","time":"2024-01-01T00:00:00Z"}`+"\n"), 1)
	f.Add([]byte("\n\n{}\n[]\nnull\n"), 2)
	f.Add(append(bytes.Repeat([]byte("x"), 1<<17), '\n'), 3)
	f.Add([]byte(`{"log":"half`), 0)
	f.Fuzz(func(t *testing.T, file []byte, tail int) {
		dir := t.TempDir()
		if err := os.WriteFile(stdio.LogPath(dir), file, 0o600); err != nil {
			t.Fatal(err)
		}
		all := readLog(t, dir, everything())
		o := everything()
		o.Tail = max(tail, 0)
		if got := readLog(t, dir, o); !strings.HasSuffix(all, got) {
			t.Errorf("tail %d: %q of %q", o.Tail, got, all)
		}
		w, err := stdio.OpenLog(dir, stdio.LogConfig{})
		if err != nil {
			t.Fatal(err)
		}
		w.Write(stdio.Stderr, []byte("more\n"))
		w.Close()
		if got := readLog(t, dir, everything()); got != all+"more\n" {
			t.Errorf("%q, want %q and more", got, all)
		}
	})
}

// FuzzWriteLog checks that what is written, in whatever pieces, is JSON, and is read as it was but for what is not UTF-8.
func FuzzWriteLog(f *testing.F) {
	f.Add([]byte("hello\nworld"), 3)
	f.Add([]byte("\xff\xe2\x82\n\x00\u2028<&>\""), 1)
	f.Add(bytes.Repeat([]byte("€"), 20_000), 1000)
	f.Fuzz(func(t *testing.T, output []byte, piece int) {
		piece = max(piece, 1)
		dir, w := openLog(t, stdio.LogConfig{})
		for p := range slices.Chunk(output, piece) {
			w.Write(stdio.Stdout, p)
		}
		w.Close()
		b, err := os.ReadFile(stdio.LogPath(dir))
		if err != nil {
			t.Fatal(err)
		}
		for line := range bytes.Lines(b) {
			if !json.Valid(line) {
				t.Fatalf("not JSON: %q", line)
			}
		}
		if got, want := readLog(t, dir, everything()), string([]rune(string(output))); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	})
}

// FuzzParseEntry checks that the fast way to read an entry is encoding/json's.
func FuzzParseEntry(f *testing.F) {
	f.Add([]byte(`{"log":"a\\u003c\\\"\\\\\\r\\u2028€\\n","stream":"stderr","time":"2024-01-01T00:00:00.5Z"}`))
	f.Add([]byte(`{"log":"\\ud83d\\ude00","stream":"stdout","time":"2024-01-01T00:00:00Z"}`))
	f.Add([]byte(`{"log":"a","stream":"stdout","time":"2024-01-01T00:00:00Z","time":"2024-01-01T00:00:00Z"}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		own, ok, slow, err := stdio.ParseBoth(b)
		if ok && (err != nil || !own.Time.Equal(slow.Time) || !bytes.Equal(own.Line, slow.Line) || slow.Attrs != nil) {
			t.Errorf("%q: %+v, want %+v, %v", b, own, slow, err)
		}
	})
}
