package unpack

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"sync"
	"sync/atomic"
)

// Options say how children are run. The zero value is right for the berth program.
type Options struct {
	Command []string // of a child; default: this program with ChildCommand
	IDBase  int      // first host id of the children's range of 65536; default DefaultIDBase
	Budgets Budgets
}

func (o Options) withDefaults() Options {
	if len(o.Command) == 0 {
		o.Command = []string{"/proc/self/exe", ChildCommand}
	}
	if o.IDBase == 0 {
		o.IDBase = DefaultIDBase
	}
	o.Budgets = o.Budgets.withDefaults()
	return o
}

// Result is what a layer turned out to be. Digests are like "sha256:…".
type Result struct {
	Digest  string   // of the stream as it came
	DiffID  string   // of the uncompressed stream
	Entries int64    // tar entries, as the child counted them
	Bytes   int64    // sum of file sizes, as the child counted them
	Notes   []string // what was left out and why; fit to be shown
}

// Layer unpacks one layer into dir, an empty directory owned by root, and returns its digests: the caller compares them
// before it trusts the directory to be the layer. On an error dir holds a part of the layer and must be removed. The
// stream is read to its end and closed. It needs root, and a file system with idmapped mounts.
func Layer(ctx context.Context, dir string, stream io.ReadCloser, o Options) (Result, error) {
	o = o.withDefaults()
	defer stream.Close()
	d, err := os.Open(dir)
	if err != nil {
		return Result{}, err
	}
	defer d.Close()
	within, cancel := context.WithCancel(ctx)
	defer cancel()
	src, err := openStream(within, stream, o)
	if err != nil {
		return Result{}, ctxCause(ctx, err)
	}
	j, err := startJail(within, o.Command, o.IDBase, order{Role: roleUnpack, Budgets: o.Budgets}, d)
	if err != nil {
		src.abandon(cancel)
		return Result{}, ctxCause(ctx, err)
	}
	res, err := pump(j, src, cancel)
	return res, ctxCause(ctx, err)
}

// pump moves the uncompressed stream to the unpacker. A stream that failed must not look like one that ended: the child
// is killed before it could see the end.
func pump(j *jail, src *source, cancel context.CancelFunc) (Result, error) {
	diff := sha256.New()
	_, copyErr := io.CopyBuffer(onlyWriter{io.MultiWriter(diff, j.stdin)}, src, make([]byte, bufferBytes))
	if copyErr != nil && !isEPIPE(copyErr) {
		j.kill()
		src.abandon(cancel)
		return Result{}, copyErr
	}
	var digest string
	if copyErr == nil {
		var err error
		if digest, err = src.finish(); err != nil {
			j.kill()
			return Result{}, err
		}
	} else {
		src.abandon(cancel)
		_ = j.stdin.Close()
		if _, err := j.wait(); err != nil {
			return Result{}, err
		}
		return Result{}, errors.New("the unpacker stopped reading before the end")
	}
	_ = j.stdin.Close()
	r, err := j.wait()
	if err != nil {
		return Result{}, err
	}
	return Result{Digest: digest, DiffID: sum(diff), Entries: r.Entries, Bytes: r.Bytes, Notes: r.Notes}, nil
}

// Decompress writes the stream, decompressed where it is compressed, to dst, within the budgets of bytes and ratio.
func Decompress(ctx context.Context, dst io.Writer, stream io.ReadCloser, o Options) error {
	defer stream.Close()
	within, cancel := context.WithCancel(ctx)
	defer cancel()
	src, err := openStream(within, stream, o.withDefaults())
	if err != nil {
		return ctxCause(ctx, err)
	}
	if _, err := io.CopyBuffer(onlyWriter{dst}, src, make([]byte, bufferBytes)); err != nil {
		src.abandon(cancel)
		return ctxCause(ctx, err)
	}
	_, err = src.finish()
	return ctxCause(ctx, err)
}

// source is a layer's uncompressed stream, counted, whatever it was compressed with.
type source struct {
	out     io.Reader // uncompressed
	close   io.Closer // of the stream
	in      *counter  // as it came
	budgets Budgets
	read    int64
	jail    *jail // the decompressor; nil where there is none
	feeder  sync.WaitGroup
	fed     error // after feeder
}

// counter hashes and counts what passes.
type counter struct {
	r io.Reader
	h hash.Hash
	n atomic.Int64
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	_, _ = c.h.Write(p[:n]) // never fails: hash.Hash
	c.n.Add(int64(n))
	return n, err
}

func openStream(ctx context.Context, stream io.ReadCloser, o Options) (*source, error) {
	in := &counter{r: stream, h: sha256.New()}
	head := bufio.NewReaderSize(in, bufferBytes)
	magic, err := head.Peek(magicBytes)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	if len(magic) == 0 {
		return nil, errors.New("the layer is empty: not even the end of an archive")
	}
	f, err := sniff(magic)
	if err != nil {
		return nil, err
	}
	s := &source{out: head, close: stream, in: in, budgets: o.Budgets}
	if f == formatTar {
		return s, nil
	}
	s.jail, err = startJail(ctx, o.Command, o.IDBase, order{Role: roleDecompress, Format: f, Budgets: o.Budgets}, nil)
	if err != nil {
		return nil, err
	}
	s.out = s.jail.stdout
	s.feeder.Go(func() {
		_, s.fed = io.CopyBuffer(onlyWriter{s.jail.stdin}, onlyReader{head}, make([]byte, bufferBytes))
		if s.fed != nil && !isEPIPE(s.fed) {
			_ = s.jail.cmd.Process.Kill() // it must not take a failed stream for one that ended
		}
		_ = s.jail.stdin.Close()
	})
	return s, nil
}

// Read enforces the budgets that the stream itself can meet.
func (s *source) Read(p []byte) (int, error) {
	n, err := s.out.Read(p)
	s.read += int64(n)
	if s.read > s.budgets.Bytes {
		return 0, &BudgetError{Budget: BudgetBytes, Limit: s.budgets.Bytes}
	}
	if s.jail != nil && s.read > DefaultRatioAfter && s.read/s.budgets.Ratio > s.in.n.Load() {
		return 0, &BudgetError{Budget: BudgetRatio, Limit: s.budgets.Ratio}
	}
	return n, err
}

// finish waits for the decompressor and returns the digest of the stream as it came.
func (s *source) finish() (string, error) {
	if s.jail == nil {
		return sum(s.in.h), nil
	}
	s.feeder.Wait()
	_, err := s.jail.wait()
	if s.fed != nil && !isEPIPE(s.fed) {
		return "", s.fed // what the child says then only follows
	}
	if err != nil {
		return "", err
	}
	if s.fed != nil {
		return "", fmt.Errorf("the decompressor stopped reading before the end: %w", s.fed)
	}
	return sum(s.in.h), nil
}

// abandon ends the decompressor and what feeds it.
func (s *source) abandon(cancel context.CancelFunc) {
	cancel()
	_ = s.close.Close() // unblocks the feeder's read
	if s.jail != nil {
		_ = s.jail.cmd.Process.Kill() // it may have ended
		s.feeder.Wait()
		s.jail.kill()
	}
}

func sum(h hash.Hash) string { return "sha256:" + hex.EncodeToString(h.Sum(nil)) }

// ctxCause prefers the reason of the caller's end to what it did to the children.
func ctxCause(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil && err != nil {
		return cause
	}
	return err
}

type onlyReader struct{ io.Reader }
