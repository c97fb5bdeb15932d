package e2e_test

import (
	"archive/tar"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// rootFS writes a root file system with one file.
func rootFS(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "root.tar")
	f, err := os.Create(path)
	must(t, err)
	w := tar.NewWriter(f)
	must(t, w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644, Size: int64(len(text))}))
	_, err = w.Write([]byte(text))
	must(t, err)
	must(t, w.Close())
	must(t, f.Close())
	return path
}

// TestHostImagesInASession brings an image to the host during a lesson: it is there in sessions that run already, is saved
// with its digest, and stays for those who saw it when the operator removes it. Sessions that come later have nothing of it.
func TestHostImagesInASession(t *testing.T) {
	s := newServer(t, dockerEnvironments)
	s.start()
	early := string(s.open("debian").id)
	docker := func(id string, args ...string) string {
		t.Helper()
		got := s.berth(nil, append([]string{"docker", id, "--"}, args...)...)
		if got.code != 0 {
			t.Fatalf("docker %s: %+v", strings.Join(args, " "), got)
		}
		return got.out
	}
	if out := docker(early, "images", "-q"); out != "" {
		t.Errorf("a fresh session has images: %s", out)
	}
	name := "e2e-" + s.corner.Instance + ":1" // the cache is shared by all tests
	if got := s.berth(nil, "image", "import", "--rootfs", "--name", name, "--cmd", "x", rootFS(t, "lesson", s.corner.Instance)); got.code != 0 {
		t.Fatalf("%+v", got)
	}
	t.Cleanup(func() { s.berth(nil, "image", "rm", name) })
	docker(early, "create", "--name", "one", name)
	id := docker(early, "images", "-q", "--no-trunc", name)
	if got := s.berth(nil, "image", "rm", name); got.code != 0 {
		t.Fatalf("%+v", got)
	}
	late := string(s.open("debian").id)
	if got := s.berth(nil, "docker", late, "--", "create", "--pull", "never", name); got.code == 0 || !strings.Contains(got.errs, "No such image: "+name) {
		t.Errorf("a later session: %+v", got)
	}
	docker(early, "create", "--name", "two", name)
	if out := docker(early, "export", "two"); !strings.Contains(out, s.corner.Instance) {
		t.Error("the layer has gone under a session that saw it")
	}
	saved := filepath.Join(t.TempDir(), "saved.tar")
	docker(early, "save", "-o", saved, name)
	docker(late, "load", "-i", saved)
	if again := docker(late, "images", "-q", "--no-trunc", name); again != id {
		t.Errorf("%s was saved and is loaded as %s", id, again)
	}
}
