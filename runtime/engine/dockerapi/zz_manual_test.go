package dockerapi_test

import (
	"os"
	"testing"
	"time"
)

func TestManual(t *testing.T) {
	if os.Getenv("MANUAL") == "" {
		t.Skip()
	}
	c := newCLI(t, imagesOf(t))
	os.Remove("/tmp/imgtry/d.sock")
	os.Symlink(c.socket, "/tmp/imgtry/d.sock")
	<-time.After(300 * time.Second)
}
