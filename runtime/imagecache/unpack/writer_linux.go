package unpack

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// What one entry may make the log say.
const maxNotes = 20

// writer writes the entries of one layer below a directory. Every name is resolved by the kernel from that directory
// (openat2 with RESOLVE_BENEATH, kernel 5.6), so that neither "..", nor a symbolic link that an earlier entry made, nor an
// absolute one leads out, even if the process were not locked into the directory as it is.
type writer struct {
	root    int      // O_PATH descriptor of the layer's directory
	tree    *os.Root // the same, for recursive removal
	budgets Budgets
	parent  parent
	dirs    []dirTime // set at the end: writing into a directory changes its time
	entries int64
	bytes   int64
	notes   []string
	skipped int
	buf     []byte
}

// parent is the directory of the last entry: tars come sorted, so it is mostly the next entry's as well.
type parent struct {
	name string
	fd   int
}

type dirTime struct {
	name string
	time time.Time
}

func newWriter(root string, b Budgets) (*writer, error) {
	fd, err := unix.Open(root, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	tree, err := os.OpenRoot(root)
	if err != nil {
		_ = unix.Close(fd)
		return nil, err
	}
	return &writer{root: fd, tree: tree, budgets: b.withDefaults(), parent: parent{fd: -1}, buf: make([]byte, bufferBytes)}, nil
}

func (w *writer) close() {
	w.forgetParent()
	_ = unix.Close(w.root)
	_ = w.tree.Close()
}

func (w *writer) report() report {
	notes := w.notes
	if w.skipped > 0 {
		notes = append(notes, fmt.Sprintf("and %d more such entries", w.skipped))
	}
	return report{Entries: w.entries, Bytes: w.bytes, Notes: notes}
}

func (w *writer) note(entry, format string, args ...any) {
	if len(w.notes) == maxNotes {
		w.skipped++
		return
	}
	w.notes = append(w.notes, fmt.Sprintf("%.200q: ", entry)+fmt.Sprintf(format, args...))
}

// readTar writes all entries, then reads the stream to its end, for the parent hashes what follows the archive as well.
func (w *writer) readTar(stream io.Reader) error {
	tr := tar.NewReader(stream)
	for {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return fmt.Errorf("not a valid tar archive after %d entries: %w", w.entries, err)
		}
		if w.entries++; w.entries > w.budgets.Entries {
			return &BudgetError{Budget: BudgetEntries, Limit: w.budgets.Entries}
		}
		if err := w.entry(h, tr); err != nil {
			return explain(h.Name, err)
		}
	}
	for i := len(w.dirs) - 1; i >= 0; i-- {
		w.setDirTime(w.dirs[i])
	}
	_, err := io.CopyBuffer(io.Discard, struct{ io.Reader }{stream}, w.buf)
	return err
}

// explain gives an error the name of its entry, once.
func explain(name string, err error) error {
	var entry *EntryError
	var budget *BudgetError
	switch {
	case errors.As(err, &entry), errors.As(err, &budget):
		return err
	case errors.Is(err, unix.EXDEV):
		return &EntryError{name, "refused: a symbolic link on its way leads out of the layer"}
	case errors.Is(err, unix.ELOOP):
		return &EntryError{name, "refused: symbolic links on its way lead in a circle"}
	case errors.Is(err, unix.ENOSPC), errors.Is(err, unix.EDQUOT):
		return &EntryError{name, "the disk of the image cache is full: make room, or move the data directory"}
	case errors.Is(err, io.ErrUnexpectedEOF):
		return &EntryError{name, "the archive is cut short"}
	}
	return &EntryError{name, err.Error()}
}

func (w *writer) entry(h *tar.Header, content io.Reader) error {
	if h.Typeflag == tar.TypeXGlobalHeader {
		return nil // git archive's comment; says nothing of files
	}
	name, err := cleanName(h.Name, w.budgets.Depth)
	if err != nil {
		return err
	}
	if name == "." {
		return w.rootEntry(h)
	}
	dir, base := path.Split(name)
	dir = strings.TrimSuffix(dir, "/")
	if strings.HasPrefix(base, whiteoutPrefix) {
		return w.whiteoutEntry(h, dir, base)
	}
	at, err := w.openParent(dir)
	if err != nil {
		return err
	}
	switch h.Typeflag {
	case tar.TypeDir:
		return w.directory(h, at, name)
	case tar.TypeReg, tar.TypeGNUSparse:
		return w.file(h, at, name, content)
	case tar.TypeSymlink:
		return w.symlink(h, at, name)
	case tar.TypeLink:
		return w.hardlink(h, at, name)
	case tar.TypeFifo:
		return w.fifo(h, at, name)
	case tar.TypeChar, tar.TypeBlock:
		w.note(h.Name, "device left out: sandboxes have a /dev of their own")
		return nil
	}
	return &EntryError{h.Name, fmt.Sprintf("refused: its type %q is unknown", h.Typeflag)}
}

func (w *writer) rootEntry(h *tar.Header) error {
	if h.Typeflag != tar.TypeDir {
		return &EntryError{h.Name, "refused: the layer's root must be a directory"}
	}
	fd, err := w.openBeneath(".", unix.O_RDONLY|unix.O_DIRECTORY)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return w.dirMetadata(fd, h, ".")
}
