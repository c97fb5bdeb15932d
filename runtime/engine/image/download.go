package image

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/containerd/v2/core/leases"
	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sys/unix"
)

const (
	parallelDownloads = 3 // of this sandbox together: Docker's default
	downloadAttempts  = 5 // Docker's too
	retryPause        = time.Second
)

// errUnexpectedEnd is of a stream that was shorter than promised.
var errUnexpectedEnd = io.ErrUnexpectedEOF

// download fetches a layer's blob into the store, from where an earlier attempt, or an earlier pull, has stopped.
func (s *Store) download(ctx context.Context, from *endpoint, desc ocispec.Descriptor, diffID digest.Digest, progress Progress) error {
	id := short(desc.Digest.String())
	unlock, err := s.lockKey(ctx, desc.Digest.String())
	if err != nil {
		return err
	}
	defer unlock()
	if err := s.takeTurn(ctx, id, progress); err != nil {
		return err
	}
	defer func() { <-s.downloads }()
	pause := retryPause
	for attempt := 1; ; attempt++ {
		err := s.downloadOnce(ctx, from, desc, diffID, progress)
		if err == nil || attempt == downloadAttempts || ctx.Err() != nil || !passing(err) {
			return err
		}
		progress.layer(id, fmt.Sprintf("Retrying in %d second(s)", pause/time.Second))
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(pause):
		}
		pause *= 2
	}
}

// takeTurn waits until fewer than parallelDownloads run.
func (s *Store) takeTurn(ctx context.Context, id string, progress Progress) error {
	select {
	case s.downloads <- struct{}{}:
		return nil
	default:
		progress.layer(id, "Waiting")
	}
	select {
	case s.downloads <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func partialRef(d digest.Digest) string { return partialPrefix + d.String() }

// partialPrefix begins the names of downloads under way, and of those that were cut short.
const partialPrefix = "download-"

func (s *Store) downloadOnce(ctx context.Context, from *endpoint, desc ocispec.Descriptor, diffID digest.Digest, progress Progress) (err error) {
	id := short(desc.Digest.String())
	// Not held by the pull: what has arrived is still there for the next one. containerd drops it after a day.
	w, err := content.OpenWriter(unheld(ctx), s.content, content.WithRef(partialRef(desc.Digest)), content.WithDescriptor(desc))
	if errdefs.IsAlreadyExists(err) {
		return s.holdBlob(ctx, desc)
	}
	if err != nil {
		return err
	}
	defer func() {
		_ = w.Close() // what was not committed is kept, or aborted here
		if errors.Is(err, unix.ENOSPC) || errors.Is(err, errVerification) {
			_ = s.content.Abort(context.WithoutCancel(ctx), partialRef(desc.Digest))
		}
	}()
	status, err := w.Status()
	if err != nil {
		return err
	}
	if status.Offset < desc.Size {
		if err := fetchRest(ctx, from, desc, w, status.Offset, progress); err != nil {
			return err
		}
	}
	progress.layer(id, "Verifying Checksum")
	labels := map[string]string{labelUncompressed: diffID.String(), labelKind: desc.MediaType}
	err = ignoreExisting(w.Commit(ctx, desc.Size, desc.Digest, content.WithLabels(labels)))
	if errdefs.IsFailedPrecondition(err) {
		return &classified{message: "filesystem layer verification failed for digest " + desc.Digest.String(), class: errdefs.ErrDataLoss, cause: errVerification}
	}
	if err != nil {
		return err
	}
	progress.layer(id, "Download complete")
	return nil
}

var errVerification = errors.New("the content has another digest")

// holdBlob keeps a blob that is there already until the context's hold ends.
func (s *Store) holdBlob(ctx context.Context, desc ocispec.Descriptor) error {
	id, ok := leases.FromContext(ctx)
	if !ok {
		return nil
	}
	return ignoreExisting(s.leases.AddResource(ctx, leases.Lease{ID: id}, leases.Resource{ID: desc.Digest.String(), Type: "content"}))
}

// fetchRest reads what is missing of a blob.
func fetchRest(ctx context.Context, from *endpoint, desc ocispec.Descriptor, w content.Writer, offset int64, progress Progress) error {
	body, at, err := from.blob(ctx, desc.Digest.String(), offset, desc.Size)
	if err != nil {
		return err
	}
	defer body.Close()
	if at != offset {
		if err := w.Truncate(0); err != nil {
			return err
		}
	}
	// One byte more than promised is enough to know that it is a lie.
	r := &counted{r: io.LimitReader(body, desc.Size-at+1), read: at, total: desc.Size, id: short(desc.Digest.String()), status: "Downloading", tell: progress}
	n, err := io.Copy(w, r)
	switch {
	case err != nil:
		return err
	case at+n < desc.Size:
		return errUnexpectedEnd
	case at+n > desc.Size:
		return &classified{message: "filesystem layer verification failed for digest " + desc.Digest.String(), class: errdefs.ErrDataLoss, cause: errVerification}
	}
	return nil
}

// dropPartials removes what is left of downloads that were cut short.
func (s *Store) dropPartials(ctx context.Context) error {
	list, err := s.content.ListStatuses(ctx)
	if err != nil {
		return err
	}
	for _, st := range list {
		if err := s.content.Abort(ctx, st.Ref); err != nil && !errdefs.IsNotFound(err) && !errdefs.IsUnavailable(err) {
			return err
		}
	}
	return nil
}
