package stdio

import (
	"bufio"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"time"
)

// maxEntry bounds one line of a log file: a piece of a line, each byte escaped, with its attributes. Longer ones were not
// written by us, and are left out.
const maxEntry = 1 << 20

// All is the Tail of a reader who wants everything.
const All = -1

// LogOptions say what of a log is read.
type LogOptions struct {
	Stdout, Stderr bool
	Tail           int // how many of the last entries; All, or any number below 0: from the beginning
	Since, Until   time.Time
	Follow         bool
	// Writer is who writes the log now: a container that runs. Nil: it does not change, and Follow has nothing to wait for.
	Writer *LogWriter
	// Idle, if not nil, is called whenever a follower has emitted all there is.
	Idle func() error
}

// ReadLog calls emit for the entries of the log in dir, the oldest first. With Follow it goes on until the writer is closed
// and everything was emitted. It ends with emit's error, or ctx's cause. A log that is not there is empty.
func ReadLog(ctx context.Context, dir string, o LogOptions, emit func(LogLine) error) error {
	s, err := openSnapshot(dir, o.Writer)
	if err != nil {
		return err
	}
	defer s.close()
	if !o.Until.IsZero() {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadlineCause(ctx, o.Until, errUntil)
		defer cancel()
	}
	r := &reader{options: o, emit: emit}
	err = s.read(ctx, r)
	if err == nil && o.Follow && o.Writer != nil {
		err = r.follow(ctx, s)
	}
	if errors.Is(err, errUntil) {
		return nil
	}
	return err
}

// errUntil ends a reader at LogOptions.Until.
var errUntil = errors.New("the end that was asked for")

// reader emits what the options ask for.
type reader struct {
	options LogOptions
	emit    func(LogLine) error
}

// section reads entries from off to end, which are at the ends of lines.
func (r *reader) section(ctx context.Context, f io.ReaderAt, off, end int64) error {
	lines := bufio.NewReaderSize(io.NewSectionReader(f, off, end-off), block)
	for {
		b, err := nextLine(lines)
		if len(b) > 0 {
			if err := r.line(b); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := ctx.Err(); err != nil && !errors.Is(context.Cause(ctx), errUntil) {
			return context.Cause(ctx)
		}
	}
}

func (r *reader) line(b []byte) error {
	l, ok := parseEntry(b)
	o := r.options
	switch {
	case !ok, l.Stream == Stdout && !o.Stdout, l.Stream == Stderr && !o.Stderr, l.Time.Before(o.Since):
		return nil
	case !o.Until.IsZero() && l.Time.After(o.Until):
		return errUntil
	}
	return r.emit(l)
}

// nextLine returns a line without its newline; nothing for one that is too long. It is valid until the next call.
func nextLine(r *bufio.Reader) ([]byte, error) {
	b, err := r.ReadSlice('\n')
	if !errors.Is(err, bufio.ErrBufferFull) {
		return b, err
	}
	long := append([]byte(nil), b...)
	for errors.Is(err, bufio.ErrBufferFull) {
		b, err = r.ReadSlice('\n')
		if len(long)+len(b) <= maxEntry {
			long = append(long, b...)
		} else {
			long = long[:0:0]
			for errors.Is(err, bufio.ErrBufferFull) {
				_, err = r.ReadSlice('\n')
			}
		}
	}
	return long, err
}

// snapshot is the log as it is at one moment: its files, the oldest first, and how much of each.
type snapshot struct {
	files []logFile
	gen   int64      // of the last
	held  [3][]byte  // what the writer holds of lines without an end
	w     *LogWriter // nil: nobody writes
}

type logFile struct {
	*os.File
	size int64
}

// openSnapshot opens all files of a log: the writer, where there is one, rotates none meanwhile.
func openSnapshot(dir string, w *LogWriter) (*snapshot, error) {
	s := &snapshot{w: w}
	if w != nil {
		w.mu.Lock()
		defer w.mu.Unlock()
		s.gen = w.gen
		for stream, held := range w.held {
			s.held[stream] = append([]byte(nil), held...)
		}
	}
	for n := int64(0); ; n++ {
		f, err := os.Open(rotated(LogPath(dir), n))
		if errors.Is(err, fs.ErrNotExist) && n == 0 {
			continue // an engine was killed between two renames
		}
		if errors.Is(err, fs.ErrNotExist) {
			return s, nil
		}
		if err != nil {
			s.close()
			return nil, err
		}
		file := logFile{File: f}
		if n == 0 && w != nil && w.file != nil {
			file.size = w.size
		} else if file.size, err = wholeEntries(f); err != nil {
			_ = f.Close() // read only
			s.close()
			return nil, err
		}
		s.files = append([]logFile{file}, s.files...)
	}
}

// wholeEntries is how much of a file that nobody writes is entries with an end.
func wholeEntries(f *os.File) (int64, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return lastNewline(f, info.Size())
}

// close closes the files.
func (s *snapshot) close() {
	for _, f := range s.files {
		_ = f.Close() // read only
	}
	s.files = nil
}

// read emits the last entries that were asked for.
func (s *snapshot) read(ctx context.Context, r *reader) error {
	first, off := 0, int64(0)
	if left := r.options.Tail; left >= 0 {
		first = len(s.files)
		for left > 0 && first > 0 {
			first--
			f := s.files[first]
			at, found, err := lastLines(f, f.size, left, false)
			if err != nil {
				return err
			}
			off, left = at, left-found
		}
	}
	for i, f := range s.files {
		if i < first {
			continue
		}
		if err := r.section(ctx, f, off, f.size); err != nil {
			return err
		}
		off = 0
	}
	return nil
}
