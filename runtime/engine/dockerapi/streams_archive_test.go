package dockerapi_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/events"
	"github.com/moby/moby/client"

	"berth/runtime/engine/dockerapi"
	"berth/runtime/engine/files"
)

// tree is a container that is only files, with a volume on /volume and one on /fixed that is read-only.
type tree struct {
	dir, base string
	user      string
	events    []events.Action
	opened    int
}

func newTree(t *testing.T) *tree {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: a mount namespace is made, with files of every owner")
	}
	base := t.TempDir()
	c := &tree{dir: filepath.Join(base, "root"), base: base}
	for name, content := range map[string]string{
		"root/etc/passwd": "root:x:0:0::/:\nme:x:1000:1001::/:\n", "root/etc/group": "us:x:50:\n", "root/dir/file": "hello",
		"volume/kept": "on the volume", "fixed/kept": "fixed",
	} {
		p := filepath.Join(base, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(p), 0o755), os.WriteFile(p, []byte(content), 0o640)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("/dir/../dir/file", filepath.Join(c.dir, "link")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if c.opened != 0 {
			t.Errorf("the files are still open %d times", c.opened)
		}
	})
	return c
}

func (c *tree) Get(ref string) (*tree, error) {
	if ref != "one" {
		return nil, fmt.Errorf("No such container: %s%w", ref, notFound{})
	}
	return c, nil
}

func (c *tree) OpenFiles(context.Context) (*files.Tree, func() error, error) {
	a, err := files.Assemble(c.dir, false, []files.Mount{
		{Source: filepath.Join(c.base, "volume"), Destination: "/volume"},
		{Source: filepath.Join(c.base, "fixed"), Destination: "/fixed", ReadOnly: true},
	})
	if err != nil {
		return nil, nil, err
	}
	c.opened++
	return a.Tree, func() error {
		c.opened--
		a.Close()
		return nil
	}, nil
}

func (c *tree) Config() (*container.Config, *container.HostConfig) {
	return &container.Config{User: c.user}, &container.HostConfig{}
}

func (c *tree) Publish(action events.Action) { c.events = append(c.events, action) }

// serveTree serves it on a socket.
func serveTree(t *testing.T, c *tree) (*client.Client, string) {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	socket := filepath.Join(t.TempDir(), "docker.sock")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	server := dockerapi.HTTPServer(dockerapi.New(log, dockerapi.Archives[*tree]{Manager: c, Log: log}), log)
	var served sync.WaitGroup
	served.Go(func() { _ = server.Serve(l) }) // it is closed
	t.Cleanup(func() {
		_ = server.Close()
		served.Wait()
	})
	api, err := client.New(client.WithHost("unix://"+socket), client.WithAPIVersion(dockerapi.Version))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = api.Close() })
	return api, socket
}

func tarOf(t *testing.T, headers ...tar.Header) *bytes.Buffer {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, h := range headers {
		if h.Typeflag == tar.TypeReg {
			h.Size = int64(len(h.Name))
		}
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if h.Typeflag == tar.TypeReg {
			fmt.Fprintf(w, "%s", h.Name)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return &b
}

// TestFilesAreDescribed checks the header with a file's description.
func TestFilesAreDescribed(t *testing.T) {
	api, _ := serveTree(t, newTree(t))
	for path, want := range map[string]container.PathStat{
		"/dir/file": {Name: "file", Size: 5, Mode: 0o640},
		"dir/":      {Name: "dir", Mode: fs.ModeDir | 0o755},
		"/dir/.":    {Name: ".", Mode: fs.ModeDir | 0o755},
		"/link":     {Name: "link", Mode: fs.ModeSymlink | 0o777, LinkTarget: "/dir/file"},
		"/volume":   {Name: "volume", Mode: fs.ModeDir | 0o755},
	} {
		got, err := api.ContainerStatPath(t.Context(), "one", client.ContainerStatPathOptions{Path: path})
		if err != nil {
			t.Errorf("%s: %v", path, err)
			continue
		}
		s := got.Stat
		if s.Mode.IsDir() || s.Mode.Type() == fs.ModeSymlink {
			want.Size = s.Size
		}
		if s.Mtime.IsZero() || s.Name != want.Name || s.Size != want.Size || s.Mode != want.Mode || s.LinkTarget != want.LinkTarget {
			t.Errorf("%s: %+v, want %+v", path, s, want)
		}
	}
}

// TestErrorsOfCopiesAreDockers checks statuses and messages.
func TestErrorsOfCopiesAreDockers(t *testing.T) {
	c := newTree(t)
	api, _ := serveTree(t, c)
	file := tar.Header{Typeflag: tar.TypeReg, Name: "dir", Mode: 0o600}
	put := func(path string, o client.CopyToContainerOptions, headers ...tar.Header) error {
		o.DestinationPath, o.Content = path, tarOf(t, headers...)
		_, err := api.CopyToContainer(t.Context(), "one", o)
		return err
	}
	_, none := api.CopyFromContainer(t.Context(), "one", client.CopyFromContainerOptions{SourcePath: "/none"})
	for _, tc := range []struct {
		err  error
		is   func(error) bool
		says string
	}{
		{none, errdefs.IsNotFound, "Could not find the file /none in container one"},
		{put("/none", client.CopyToContainerOptions{}, file), errdefs.IsNotFound, "Could not find the file /none in container one"},
		{put("/dir/file", client.CopyToContainerOptions{}, file), errdefs.IsInvalidArgument, "extraction point is not a directory"},
		{put("/fixed", client.CopyToContainerOptions{}, file), errdefs.IsInvalidArgument, "mounted volume is marked read-only"},
		{put("/", client.CopyToContainerOptions{}, file), errdefs.IsInvalidArgument, `cannot overwrite directory "/dir" with non-directory "/"`},
		{put("/", client.CopyToContainerOptions{}, tar.Header{Typeflag: tar.TypeReg, Name: "../up"}), errdefs.IsInvalidArgument, "leads out"},
	} {
		if !tc.is(tc.err) || !strings.Contains(tc.err.Error(), tc.says) {
			t.Errorf("%v, want %q", tc.err, tc.says)
		}
	}
	if len(c.events) > 0 {
		t.Errorf("events %v", c.events)
	}
}

// TestCompressedArchivesAreTaken checks gzip, owners with and without copyUIDGID, and events.
func TestCompressedArchivesAreTaken(t *testing.T) {
	c := newTree(t)
	c.user = "me:us"
	api, _ := serveTree(t, c)
	for _, as := range []bool{true, false} {
		var b bytes.Buffer
		z := gzip.NewWriter(&b)
		_, err := io.Copy(z, tarOf(t, tar.Header{Typeflag: tar.TypeReg, Name: "new", Mode: 0o600, Uid: 7, Gid: 8}))
		if err := errors.Join(err, z.Close()); err != nil {
			t.Fatal(err)
		}
		o := client.CopyToContainerOptions{DestinationPath: "/volume", Content: &b, CopyUIDGID: as}
		if _, err := api.CopyToContainer(t.Context(), "one", o); err != nil {
			t.Fatal(err)
		}
		b.Reset()
		got, err := api.CopyFromContainer(t.Context(), "one", client.CopyFromContainerOptions{SourcePath: "/volume/new"})
		if err != nil {
			t.Fatal(err)
		}
		h, err := tar.NewReader(got.Content).Next()
		want := map[bool]int{true: 1050, false: 15}[as]
		if err != nil || h.Uid+h.Gid != want {
			t.Errorf("of %d:%d, %v", h.Uid, h.Gid, err)
		}
		got.Content.Close()
	}
	if want := []events.Action{"extract-to-dir", "archive-path", "extract-to-dir", "archive-path"}; !slices.Equal(c.events, want) {
		t.Errorf("events %v", c.events)
	}
}

// TestDockerCopies runs the docker command both ways, for files, directories, and what the ends of paths mean.
func TestDockerCopies(t *testing.T) {
	if _, err := exec.LookPath("docker"); err != nil {
		t.Skip("needs the docker command")
	}
	c := newTree(t)
	_, socket := serveTree(t, c)
	local := t.TempDir()
	cp := func(from, to string) error {
		cmd := exec.Command("docker", "cp", from, to)
		cmd.Env = append(os.Environ(), "DOCKER_HOST=unix://"+socket, "DOCKER_API_VERSION=1.41", "HOME="+local)
		out, err := cmd.CombinedOutput()
		if err != nil {
			return fmt.Errorf("%w: %s", err, out)
		}
		return nil
	}
	p := func(name string) string { return filepath.Join(local, name) }
	if err := errors.Join(os.MkdirAll(p("src/sub"), 0o755), os.WriteFile(p("src/sub/a"), []byte("A"), 0o600), os.WriteFile(p("f"), []byte("F"), 0o600)); err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct{ from, to, at, want string }{
		{p("f"), "one:/", c.dir + "/f", "F"},
		{p("f"), "one:/renamed", c.dir + "/renamed", "F"},
		{p("f"), "one:/link", c.dir + "/dir/file", "F"},
		{p("f"), "one:/volume/", c.base + "/volume/f", "F"},
		{p("src"), "one:/dir", c.dir + "/dir/src/sub/a", "A"},
		{p("src") + "/.", "one:/dir", c.dir + "/dir/sub/a", "A"},
		{p("src"), "one:/new", c.dir + "/new/sub/a", "A"},
		{"one:/dir/sub", p("got"), p("got/a"), "A"},
		{"one:/dir", local, p("dir/sub/a"), "A"},
		{"one:/dir/.", p("got"), p("got/sub/a"), "A"},
		{"one:/volume/kept", p("kept"), p("kept"), "on the volume"},
		{"one:/", p("all"), p("all/volume/kept"), "on the volume"},
	} {
		if err := cp(step.from, step.to); err != nil {
			t.Errorf("docker cp %s %s: %v", step.from, step.to, err)
			continue
		}
		if b, err := os.ReadFile(step.at); err != nil || string(b) != step.want {
			t.Errorf("docker cp %s %s: %s holds %q, %v", step.from, step.to, step.at, b, err)
		}
	}
	for from, to := range map[string]string{"one:/none": local, p("f"): "one:/none/", p("src"): "one:/dir/file", "one:/dir/file/": local} {
		if err := cp(from, to); err == nil {
			t.Errorf("docker cp %s %s: no error", from, to)
		}
	}
}
