package dockerapi

import (
	"encoding/binary"
	"io"

	"berth/runtime/engine/stdio"
)

// Types of a stream: raw is all that a terminal has; in the other each piece has a header.
const (
	rawStream         = "application/vnd.docker.raw-stream"
	multiplexedStream = "application/vnd.docker.multiplexed-stream"
	// multiplexedSince is the API version from which the type says that a stream is multiplexed.
	multiplexedSince = "1.42"
)

// systemError is the stream of what the engine itself has to say.
const systemError stdio.Stream = 3

// frames writes pieces of one stream in a connection that carries several: stdcopy of moby/api. The header is the stream,
// three zeros, and the length in four bytes, big-endian.
type frames struct {
	w      io.Writer
	stream stdio.Stream
	buf    []byte
}

func (f *frames) Write(p []byte) (int, error) {
	f.buf = append(f.buf[:0], byte(f.stream), 0, 0, 0)
	f.buf = binary.BigEndian.AppendUint32(f.buf, uint32(len(p)))
	f.buf = append(f.buf, p...) // one write: one packet, and no other in between
	if _, err := f.w.Write(f.buf); err != nil {
		return 0, err
	}
	return len(p), nil
}

// split returns the writers of stdout, stderr and the engine's own words on w.
func split(w io.Writer, multiplexed bool) (stdout, stderr, system io.Writer) {
	if !multiplexed {
		return w, w, w
	}
	return &frames{w: w, stream: stdio.Stdout}, &frames{w: w, stream: stdio.Stderr}, &frames{w: w, stream: systemError}
}

// streamType is the type of an answer to a client that speaks version.
func streamType(multiplexed bool, version string) string {
	if multiplexed && !less(version, multiplexedSince) {
		return multiplexedStream
	}
	return rawStream
}
