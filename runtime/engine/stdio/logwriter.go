package stdio

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"
	"unicode/utf8"
)

// What is kept of a container's output where its options do not say: Docker keeps all, but here the disk is a session's.
const (
	DefaultLogSize  = 32 << 20 // bytes of one file
	DefaultLogFiles = 2
)

// LogConfig says how much is kept.
type LogConfig struct {
	MaxSize  int64             // bytes of one file; 0: DefaultLogSize; below 0: no limit
	MaxFiles int               // 0: DefaultLogFiles
	Attrs    map[string]string // kept with every entry, for `docker logs --details`
	Logger   *slog.Logger      // nil: slog.Default
}

// LogWriter writes a container's output as Docker's json-file driver does: dir/<name of dir>-json.log, and .1, .2 … for
// what came before, of which the oldest is removed. It has one owner at a time.
type LogWriter struct {
	dir, base string
	config    LogConfig
	attrs     json.RawMessage

	mu      sync.Mutex // guards what follows
	file    *os.File   // nil: closed
	gen     int64      // counts the rotations
	size    int64      // of file: whole entries
	held    [3][]byte  // lines that have no end yet, by Stream
	out     []byte     // entries of one Write
	lost    int64      // bytes of the log that could not be written, until it can again
	noted   bool       // that something is wrong
	changed chan struct{}
}

// LogPath is the file in dir that is written to.
func LogPath(dir string) string { return filepath.Join(dir, filepath.Base(dir)+"-json.log") }

// OpenLog opens the log in dir, which exists, to append to it.
func OpenLog(dir string, c LogConfig) (*LogWriter, error) {
	if c.MaxSize == 0 {
		c.MaxSize = DefaultLogSize
	}
	if c.MaxFiles == 0 {
		c.MaxFiles = DefaultLogFiles
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	w := &LogWriter{dir: dir, base: LogPath(dir), config: c}
	if len(c.Attrs) > 0 {
		var err error
		if w.attrs, err = json.Marshal(c.Attrs); err != nil {
			return nil, err
		}
	}
	f, err := os.OpenFile(w.base, os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o640)
	if err != nil {
		return nil, fmt.Errorf("open the log: %w", err)
	}
	if w.size, err = mend(f); err != nil {
		return nil, errors.Join(fmt.Errorf("open the log: %w", err), f.Close())
	}
	w.file = f
	return w, nil
}

// mend cuts off half an entry, of an engine that was killed, and returns the size that is left.
func mend(f *os.File) (int64, error) {
	size, err := wholeEntries(f)
	if err != nil {
		return 0, err
	}
	return size, f.Truncate(size)
}

// Write keeps output. Whole lines are in the file when it returns; the rest waits for its end. It never fails: what a full
// disk does not take is lost, and counted.
func (w *LogWriter) Write(s Stream, p []byte) {
	now := time.Now()
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.file == nil {
		return
	}
	for len(p) > 0 {
		held := w.held[s]
		piece := p[:min(len(p), maxLine-len(held))]
		if i := bytes.IndexByte(piece, '\n'); i >= 0 {
			w.add(s, held, piece[:i+1], now)
			w.held[s], p = held[:0], p[i+1:]
			continue
		}
		p = p[len(piece):]
		held = append(held, piece...)
		if len(held) == maxLine {
			n := wholeRunes(held)
			w.add(s, nil, held[:n], now)
			held = append(held[:0], held[n:]...)
		}
		w.held[s] = held
	}
	w.flush()
}

// wholeRunes is how much of p is no half character at its end.
func wholeRunes(p []byte) int {
	for i := len(p) - 1; i >= len(p)-utf8.UTFMax+1; i-- {
		if utf8.RuneStart(p[i]) {
			if !utf8.FullRune(p[i:]) {
				return i
			}
			break
		}
	}
	return len(p)
}

// add encodes one entry, whose line is in two parts.
func (w *LogWriter) add(s Stream, held, rest []byte, now time.Time) {
	line := rest
	if len(held) > 0 {
		line = append(held, rest...) // held is given up after this
	}
	before := len(w.out)
	w.out = appendEntry(w.out, s, line, w.attrs, now)
	full := w.config.MaxSize > 0 && w.size+int64(len(w.out)) > w.config.MaxSize
	if full && w.size+int64(before) > 0 {
		last := w.out[before:]
		w.out = w.out[:before]
		w.flush()
		w.rotate()
		w.out = append(w.out, last...) // the array is the same, or the entry was copied by append above
	}
}

// flush writes what is encoded. An entry is written whole or not at all.
func (w *LogWriter) flush() {
	out := w.out
	w.out = w.out[:0]
	if len(out) == 0 {
		return
	}
	n, err := w.file.Write(out)
	if err != nil {
		n = bytes.LastIndexByte(out[:n], '\n') + 1
		err = errors.Join(err, w.file.Truncate(w.size+int64(n)))
		w.lost += int64(len(out) - n)
		w.note(err)
	} else if w.lost > 0 {
		w.config.Logger.Warn("the log of a container is written again", "log", w.base, "lost_bytes", w.lost)
		w.lost, w.noted = 0, false
	}
	w.size += int64(n)
	w.wake()
}

// note tells once that something is wrong.
func (w *LogWriter) note(err error) {
	if !w.noted {
		w.config.Logger.Error("output of a container is not kept as it should be", "log", w.base, "error", err)
	}
	w.noted = true
}

// rotate begins a new file. Where that fails the old one grows: rather too much than nothing.
func (w *LogWriter) rotate() {
	next := w.base + ".next"
	f, err := os.OpenFile(next, os.O_CREATE|os.O_TRUNC|os.O_RDWR|os.O_APPEND, 0o640)
	if err != nil {
		w.note(err)
		return
	}
	for n := int64(w.config.MaxFiles) - 1; n > 0; n-- {
		err = os.Rename(rotated(w.base, n-1), rotated(w.base, n))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			break
		}
		err = nil
	}
	if err == nil {
		err = os.Rename(next, w.base)
	}
	if err != nil {
		w.note(errors.Join(err, f.Close(), os.Remove(next)))
		return
	}
	_ = w.file.Close() // what is written is with the kernel
	w.file, w.size = f, 0
	w.gen++
}

// wake tells readers that wait.
func (w *LogWriter) wake() {
	if w.changed != nil {
		close(w.changed)
		w.changed = nil
	}
}

// Close keeps the lines that have no end, and ends those who follow.
func (w *LogWriter) Close() {
	now := time.Now()
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.file == nil {
		return
	}
	for _, s := range []Stream{Stdout, Stderr} {
		if len(w.held[s]) > 0 {
			w.add(s, nil, w.held[s], now)
			w.held[s] = nil
		}
	}
	w.flush()
	if err := w.file.Close(); err != nil {
		w.config.Logger.Error("close a log", "log", w.base, "error", err)
	}
	w.file = nil
	w.wake()
}

// lastNewline is the offset behind the last newline before end; 0: there is none.
func lastNewline(f io.ReaderAt, end int64) (int64, error) {
	at, _, err := lastLines(f, end, 1, true)
	return at, err
}
