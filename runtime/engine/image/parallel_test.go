package image_test

import (
	"fmt"
	"sync"
	"testing"

	"berth/runtime/engine/image"
)

// Many at once do what one would: pulls of the same image, containers of it, and the collection of what goes.
func TestParallel(t *testing.T) {
	reg := newRegistry(t)
	h := newHost(t)
	s, other := open(t, h), open(t, newHost(t))
	img := pushed(t, s, reg.host+"/app:latest")
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			if err := other.Pull(t.Context(), reg.host+"/app", image.PullOptions{}); err != nil {
				t.Errorf("pull %d: %v", i, err)
				return
			}
			key := fmt.Sprint("c", i)
			if err := other.NewRoot(t.Context(), key, img.ID); err != nil {
				t.Errorf("root %d: %v", i, err)
			}
			if _, err := other.Changes(t.Context(), key); err != nil {
				t.Errorf("changes %d: %v", i, err)
			}
			if err := other.RemoveRoot(t.Context(), key); err != nil {
				t.Errorf("remove %d: %v", i, err)
			}
		})
	}
	all.Wait()
	if n := reg.blobs.Load(); n != 8+2 { // each its own config, the layers once
		t.Errorf("%d blobs were fetched", n)
	}
}
