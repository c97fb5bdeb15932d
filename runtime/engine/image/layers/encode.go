package layers

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"
)

// magic begins a file that holds an Index; its last byte is the version of what follows. Behind it is a zstd stream, with a
// checksum: the number of entries, then each entry's fields as varints, its name and its target.
const magic = "berth layer \x01"

const window = 1 << 20 // bytes of history that encoder and decoder keep

// Encode writes an index.
func (x *Index) Encode(w io.Writer) error {
	if _, err := io.WriteString(w, magic); err != nil {
		return err
	}
	z, err := zstd.NewWriter(w, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(window))
	if err != nil {
		return err
	}
	b := bufio.NewWriter(z)
	var buf []byte
	put := func(vs ...uint64) {
		for _, v := range vs {
			buf = binary.AppendUvarint(buf, v)
		}
	}
	put(uint64(len(x.entries)))
	for i := range x.entries {
		e := &x.entries[i]
		put(uint64(e.kind), uint64(e.flags), uint64(e.mode), uint64(e.uid), uint64(e.gid), uint64(e.size), uint64(e.end-int32(i)))
		buf = binary.AppendVarint(buf, e.mtime)
		put(uint64(e.nameLen), uint64(e.targetLen))
		buf = append(buf, x.name(int32(i))...)
		buf = append(buf, x.target(int32(i))...)
		if _, err := b.Write(buf); err != nil {
			return errors.Join(err, z.Close())
		}
		buf = buf[:0]
	}
	return errors.Join(b.Flush(), z.Close())
}

var errNoIndex = errors.New("not an index of a layer")

// Decode reads what Encode wrote. It believes nothing: what it returns is well formed, or there is an error.
func Decode(r io.Reader) (*Index, error) {
	head := make([]byte, len(magic))
	if _, err := io.ReadFull(r, head); err != nil || string(head) != magic {
		return nil, errNoIndex
	}
	z, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(window), zstd.WithDecoderLowmem(true))
	if err != nil {
		return nil, err
	}
	defer z.Close()
	d := &decoder{r: bufio.NewReader(z), index: &Index{}}
	n := d.number(maxEntries)
	d.index.entries = make([]entry, 0, min(n, 1<<12)) // n is only said
	d.entries(int(n))
	if d.err != nil {
		return nil, fmt.Errorf("%w: %w", errNoIndex, d.err)
	}
	if _, err := d.r.ReadByte(); !errors.Is(err, io.EOF) { // and the checksum was right
		return nil, fmt.Errorf("%w: it does not end", errNoIndex)
	}
	return d.index, nil
}

type decoder struct {
	r     *bufio.Reader
	index *Index
	err   error
	open  []int32 // the directories that the next entry is in, each with its last name
	last  [][]byte
}

func (d *decoder) fail(format string, args ...any) {
	if d.err == nil {
		d.err = fmt.Errorf(format, args...)
	}
}

func (d *decoder) number(most uint64) uint64 {
	if d.err != nil {
		return 0
	}
	v, err := binary.ReadUvarint(d.r)
	if err != nil {
		d.fail("%w", err)
		return 0
	}
	if v > most {
		d.fail("%d is too much", v)
		return 0
	}
	return v
}

func (d *decoder) text(n uint64) string {
	if d.err != nil || n == 0 {
		return ""
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(d.r, b); err != nil {
		d.fail("%w", err)
	}
	return string(b)
}

func (d *decoder) entries(n int) {
	if n == 0 {
		d.fail("it is empty")
	}
	for i := range n {
		e := entry{
			kind: Kind(d.number(uint64(whiteout))), flags: uint8(d.number(uint64(flagsAll))), mode: uint16(d.number(0o7777)),
			uid: uint32(d.number(1<<32 - 1)), gid: uint32(d.number(1<<32 - 1)), size: int64(d.number(1<<63 - 1)),
		}
		e.end = int32(i) + int32(d.number(uint64(n-i)))
		if d.err == nil {
			var err error
			if e.mtime, err = binary.ReadVarint(d.r); err != nil {
				d.fail("%w", err)
			}
		}
		nameLen, targetLen := d.number(maxName), d.number(1<<12)
		name, target := d.text(nameLen), d.text(targetLen)
		d.check(i, n, &e, []byte(name))
		if d.err != nil {
			return
		}
		if _, err := d.index.add(e, name, target); err != nil {
			d.fail("%w", err)
			return
		}
	}
}

// check holds what the rest relies on: one root, entries within their directories, names that are names and sorted.
func (d *decoder) check(i, n int, e *entry, name []byte) {
	for len(d.open) > 0 && d.index.entries[d.open[len(d.open)-1]].end <= int32(i) {
		d.open, d.last = d.open[:len(d.open)-1], d.last[:len(d.last)-1]
	}
	depth := len(d.open)
	switch {
	case d.err != nil:
	case i == 0 && (len(name) > 0 || e.kind != Directory || int(e.end) != n):
		d.fail("its root is none")
	case i > 0 && (depth == 0 || e.end > d.index.entries[d.open[depth-1]].end || e.end <= int32(i)):
		d.fail("entry %d is in no directory", i)
	case i > 0 && (len(name) == 0 || bytes.ContainsAny(name, "/\x00") || string(name) == "." || string(name) == ".."):
		d.fail("entry %d has no name", i)
	case i > 0 && d.last[depth-1] != nil && bytes.Compare(d.last[depth-1], name) >= 0:
		d.fail("entry %d is not sorted", i)
	case e.kind != Directory && int(e.end) != i+1:
		d.fail("entry %d is no directory", i)
	}
	if d.err != nil {
		return
	}
	if i > 0 {
		d.last[depth-1] = name
	}
	if e.kind == Directory {
		d.open, d.last = append(d.open, int32(i)), append(d.last, nil)
	}
}
