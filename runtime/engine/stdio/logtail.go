package stdio

import (
	"bytes"
	"errors"
	"io"
)

// block is how much of a log is looked at at once from its end.
const block = 64 << 10

// lastLines finds where the last n lines before end begin, reading backwards, and how many there are if fewer. With ends
// it finds instead the offset behind the n-th newline from the end.
func lastLines(f io.ReaderAt, end int64, n int, ends bool) (offset int64, found int, err error) {
	buf := make([]byte, block)
	seen, want := 0, n
	if !ends {
		want++ // the newline before the first line
	}
	for at := end; at > 0; {
		size := min(at, block)
		b := buf[:size]
		if _, err := f.ReadAt(b, at-size); err != nil && !errors.Is(err, io.EOF) {
			return 0, 0, err
		}
		for {
			i := bytes.LastIndexByte(b, '\n')
			if i < 0 {
				break
			}
			if seen++; seen == want {
				return at - size + int64(i) + 1, n, nil
			}
			b = b[:i]
		}
		at -= size
	}
	return 0, seen, nil
}
