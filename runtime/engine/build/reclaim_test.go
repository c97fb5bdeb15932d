package build_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
	"google.golang.org/grpc"

	"berth/runtime/engine/build"
)

// TestTellFull: where the disk is full, a build that ends says so, whichever side of BuildKit has heard of it first.
func TestTellFull(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: a small disk is mounted")
	}
	disk := t.TempDir()
	if err := unix.Mount("tmpfs", disk, "tmpfs", 0, "size=1m"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(disk, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	failed := errors.New("Canceled: walker is closed")
	tell := build.TellFull(disk)
	ask := func(ctx context.Context, err error) error {
		_, err = tell(ctx, nil, nil, grpc.UnaryHandler(func(context.Context, any) (any, error) { return nil, err }))
		return err
	}
	if err := ask(t.Context(), failed); err.Error() != failed.Error() {
		t.Errorf("with room: %v", err)
	}
	if err := os.WriteFile(filepath.Join(disk, "filling"), make([]byte, 900<<10), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := ask(t.Context(), nil); err != nil {
		t.Errorf("a build that ended well: %v", err)
	}
	if err := ask(t.Context(), failed); !errors.Is(err, unix.ENOSPC) || !errors.Is(err, failed) {
		t.Errorf("full: %v", err)
	}
	if err := ask(t.Context(), unix.ENOSPC); err.Error() != unix.ENOSPC.Error() {
		t.Errorf("said twice: %v", err)
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if err := ask(gone, context.Canceled); err != context.Canceled { //nolint:errorlint // nothing may be added
		t.Errorf("cancelled: %v", err)
	}
}
