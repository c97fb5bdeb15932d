package unpack

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// format is how a stream is compressed.
type format string

const (
	formatTar  format = "tar" // not at all
	formatGzip format = "gzip"
	formatZstd format = "zstd"
)

// What a zstd frame may ask for: `zstd --long=27`, the most that its own decoder accepts without being told to.
const zstdWindowBytes = 128 << 20

const (
	magicBytes  = 6
	bufferBytes = 256 << 10
)

// sniff tells the format from a stream's first bytes.
func sniff(head []byte) (format, error) {
	switch {
	case bytes.HasPrefix(head, []byte{0x1f, 0x8b}): // RFC 1952
		return formatGzip, nil
	case bytes.HasPrefix(head, []byte{0x28, 0xb5, 0x2f, 0xfd}): // RFC 8878
		return formatZstd, nil
	case len(head) >= 4 && bytes.Equal(head[1:4], []byte{0x2a, 0x4d, 0x18}) && head[0]&0xf0 == 0x50:
		return formatZstd, nil // RFC 8878, a skippable frame comes first (estargz, zstd:chunked)
	case bytes.HasPrefix(head, []byte("BZh")):
		return "", errors.New("the layer is compressed with bzip2: compress it with gzip or zstd instead")
	case bytes.HasPrefix(head, []byte{0xfd, '7', 'z', 'X', 'Z', 0}):
		return "", errors.New("the layer is compressed with xz: compress it with gzip or zstd instead")
	}
	return formatTar, nil
}

// decompress copies src to dst, decompressed.
func decompress(dst io.Writer, src io.Reader, f format) error {
	var r io.Reader
	switch f {
	case formatGzip:
		z, err := gzip.NewReader(src)
		if err != nil {
			return fmt.Errorf("the gzip stream is damaged: %w", err)
		}
		r = z
	case formatZstd:
		z, err := zstd.NewReader(src, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(zstdWindowBytes),
			zstd.WithDecoderMaxMemory(zstdWindowBytes))
		if err != nil {
			return fmt.Errorf("the zstd stream is damaged: %w", err)
		}
		defer z.Close()
		r = z
	default:
		return fmt.Errorf("unknown compression %q", f)
	}
	if _, err := io.CopyBuffer(onlyWriter{dst}, r, make([]byte, bufferBytes)); err != nil {
		return fmt.Errorf("the %s stream is damaged or cut short: %w", f, err)
	}
	return nil
}

// onlyWriter hides ReadFrom, so that the copy uses the large buffer.
type onlyWriter struct{ io.Writer }

// IsTar reports whether a stream that begins so is not compressed.
func IsTar(head []byte) bool {
	f, err := sniff(head)
	return err == nil && f == formatTar
}
