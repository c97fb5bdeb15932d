package image

import (
	"bufio"
	"bytes"
	"compress/bzip2"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/xi2/xz"
)

// zstdWindow is the most that a zstd stream may ask for: four times what `zstd -19` does. It is memory of the engine, which
// has little (runtime/sandbox: engineMemory).
const zstdWindow = 32 << 20

// xzMemory is the most that an xz stream may ask for: what `xz -9` makes.
const xzMemory = 64 << 20

// decompress returns the plain stream of one that may be compressed with gzip, zstd, bzip2 or xz. Close it; r stays open.
func decompress(r io.Reader) (io.ReadCloser, error) {
	b := bufio.NewReaderSize(r, 64<<10)
	head, err := b.Peek(6)
	if err != nil && len(head) == 0 {
		if errors.Is(err, io.EOF) {
			return io.NopCloser(b), nil
		}
		return nil, err
	}
	switch {
	case bytes.HasPrefix(head, []byte{0x1f, 0x8b}): // RFC 1952
		z, err := gzip.NewReader(b)
		if err != nil {
			return nil, invalid("damaged gzip stream: %s", err)
		}
		return z, nil
	case bytes.HasPrefix(head, []byte{0x28, 0xb5, 0x2f, 0xfd}), // RFC 8878
		len(head) >= 4 && bytes.Equal(head[1:4], []byte{0x2a, 0x4d, 0x18}) && head[0]&0xf0 == 0x50: // a skippable frame
		z, err := zstd.NewReader(b, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(zstdWindow))
		if err != nil {
			return nil, fmt.Errorf("damaged zstd stream: %w", err)
		}
		return z.IOReadCloser(), nil
	case bytes.HasPrefix(head, []byte("BZh")):
		return io.NopCloser(bzip2.NewReader(b)), nil
	case bytes.HasPrefix(head, []byte{0xfd, '7', 'z', 'X', 'Z', 0}):
		z, err := xz.NewReader(b, xzMemory)
		if err != nil {
			return nil, invalid("damaged xz stream: %s", err)
		}
		return io.NopCloser(z), nil
	}
	return io.NopCloser(b), nil
}
