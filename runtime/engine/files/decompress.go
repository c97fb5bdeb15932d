package files

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

// zstdWindow is the most memory that a zstd frame may ask for, in bytes: `zstd --long=27`, what its own decoder takes.
const zstdWindow = 128 << 20

// xzMemory is the most memory that an xz stream may ask for, in bytes: what `xz -9` makes.
const xzMemory = 64 << 20

// decompress returns what a stream holds: tar itself, or compressed as Docker takes it.
func decompress(r io.Reader) (io.Reader, func(), error) {
	buf := bufio.NewReader(r)
	head, err := buf.Peek(6)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, nil, err
	}
	var out io.Reader = buf
	done := func() {}
	switch {
	case bytes.HasPrefix(head, []byte{0x1f, 0x8b}): // RFC 1952
		out, err = gzip.NewReader(buf)
	case bytes.HasPrefix(head, []byte("BZh")):
		out, err = bzip2.NewReader(buf), nil
	case bytes.HasPrefix(head, []byte{0x28, 0xb5, 0x2f, 0xfd}): // RFC 8878
		var z *zstd.Decoder
		z, err = zstd.NewReader(buf, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(zstdWindow), zstd.WithDecoderMaxMemory(zstdWindow))
		if err == nil {
			out, done = z, z.Close
		}
	case bytes.HasPrefix(head, []byte{0xfd, '7', 'z', 'X', 'Z', 0}):
		out, err = xz.NewReader(buf, xzMemory)
	default:
		err = nil // an end before six bytes is tar's to judge
	}
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", ErrArchive, err)
	}
	return out, done, nil
}
