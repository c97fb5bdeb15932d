package dockerapi_test

import (
	"bytes"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	ggcr "github.com/google/go-containerregistry/pkg/registry"

	"berth/runtime/engine/dockerapi"
	"berth/runtime/engine/image"
)

// cli runs the real docker client against an API on a socket.
type cli struct {
	t      *testing.T
	socket string
	dir    string
}

func newCLI(t *testing.T, parts ...dockerapi.Part) *cli {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root, for owners and mounts")
	}
	if _, err := exec.LookPath("docker"); err != nil {
		t.Skip("needs the docker client")
	}
	c := &cli{t: t, dir: t.TempDir()}
	c.socket = filepath.Join(c.dir, "d.sock")
	l, err := net.Listen("unix", c.socket)
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	server := dockerapi.HTTPServer(dockerapi.New(log, append(parts, &dockerapi.System{})...), log)
	go func() { _ = server.Serve(l) }()
	t.Cleanup(func() { _ = server.Close() })
	return c
}

// run returns what a command prints, both streams together.
func (c *cli) run(stdin io.Reader, args ...string) (string, error) {
	cmd := exec.CommandContext(c.t.Context(), "docker", args...)
	cmd.Env = append(os.Environ(), "DOCKER_HOST=unix://"+c.socket, "DOCKER_CONFIG="+c.dir, "DOCKER_CONTEXT=")
	cmd.Stdin = stdin
	out, err := cmd.CombinedOutput()
	return strings.ReplaceAll(string(out), "\r", ""), err
}

// want runs a command that succeeds and prints what matches.
func (c *cli) want(pattern string, args ...string) string {
	c.t.Helper()
	out, err := c.run(nil, args...)
	if err != nil || !regexp.MustCompile("(?s)^"+pattern+"$").MatchString(strings.TrimSpace(out)) {
		c.t.Errorf("docker %s: %v\n%s\nwant %s", strings.Join(args, " "), err, out, pattern)
	}
	return strings.TrimSpace(out)
}

// refuse runs a command that fails and prints what contains text.
func (c *cli) refuse(text string, args ...string) {
	c.t.Helper()
	out, err := c.run(nil, args...)
	if err == nil || !strings.Contains(out, text) {
		c.t.Errorf("docker %s: %v\n%s\nwant %s", strings.Join(args, " "), err, out, text)
	}
}

func imagesOf(t *testing.T) dockerapi.Images {
	t.Helper()
	s, err := image.Open(t.Context(), image.Options{Dir: filepath.Join(t.TempDir(), "docker")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return dockerapi.Images{Store: s}
}

// The real client, with all that it does with images.
func TestImagesWithTheClient(t *testing.T) {
	registry := httptest.NewServer(ggcr.New(ggcr.Logger(log.New(io.Discard, "", 0))))
	t.Cleanup(registry.Close)
	host := strings.TrimPrefix(registry.URL, "http://")
	c, other := newCLI(t, imagesOf(t)), newCLI(t, imagesOf(t))
	root := filepath.Join(c.dir, "root.tar")
	script := "mkdir -p r/bin && echo hi >r/bin/sh && tar -C r -cf root.tar ."
	sh := exec.CommandContext(t.Context(), "sh", "-c", script)
	sh.Dir = c.dir
	if out, err := sh.CombinedOutput(); err != nil {
		t.Fatal(err, string(out))
	}
	const id = `sha256:[0-9a-f]{64}`
	c.want(`REPOSITORY +TAG +IMAGE ID +CREATED +SIZE`, "images")
	c.want(id, "import", "-m", "from a test", "-c", `CMD ["sh"]`, root, "base:v1")
	c.want(`REPOSITORY +TAG +IMAGE ID +CREATED +SIZE\nbase +v1 +[0-9a-f]{12} +\S.* ago +[0-9.]+k?B`, "images")
	c.want(`\["sh"\] from a test \["base:v1"\] linux`, "image", "inspect", "-f", "{{json .Config.Cmd}} {{.Comment}} {{json .RepoTags}} {{.Os}}", "base:v1")
	c.want(`IMAGE +CREATED +CREATED BY +SIZE +COMMENT\n[0-9a-f]{12} +.* ago +[0-9.]+k?B +from a test`, "history", "base:v1")
	app := host + "/team/app:v1"
	c.want("", "tag", "base:v1", app)
	c.want(`(?:base:v1|\S+/team/app:v1)\n\S+`, "images", "--format", "{{.Repository}}:{{.Tag}}")
	c.want("base:v1", "images", "--format", "{{.Repository}}:{{.Tag}}", "base")
	c.want("base:v1", "images", "--format", "{{.Repository}}:{{.Tag}}", "--filter", "reference=ba*:v1")
	c.want("", "images", "-q", "--filter", "dangling=true")
	c.want(`The push refers to repository \[`+regexp.QuoteMeta(host)+`/team/app\].*Pushed\s+v1: digest: `+id+` size: \d+`, "push", app)
	c.want(`.*Layer already exists\s+v1: digest: .*`, "push", app)
	other.want(`v1: Pulling from team/app\n[0-9a-f]{12}: Pulling fs layer\n.*[0-9a-f]{12}: Pull complete\nDigest: `+id+
		`\nStatus: Downloaded newer image for `+regexp.QuoteMeta(app)+"\n"+regexp.QuoteMeta(app), "pull", app)
	other.want(`.*Status: Image is up to date for .*`, "pull", app)
	other.want(regexp.QuoteMeta(app), "pull", "-q", app)
	other.want(`.*v1: Pulling from team/app.*`, "pull", "-a", host+"/team/app")
	archive := filepath.Join(c.dir, "saved.tar")
	c.want("", "save", "-o", archive, "base:v1", app)
	other.want(`(?:Loaded image: \S+\n?){2}`, "load", "-q", "-i", archive)
	one, two := c.want(id, "images", "-q", "--no-trunc", "base"), other.want(id, "images", "-q", "--no-trunc", "base")
	if one != two {
		t.Errorf("%s was loaded as %s", one, two)
	}
	c.refuse("(must be forced) - image is referenced in multiple repositories", "rmi", one[7:19])
	c.want(`Untagged: base:v1`, "rmi", "base:v1")
	c.want(`Untagged: \S+\nUntagged: \S+@`+id+`\nDeleted: `+id, "rmi", app)
	c.want(`.*Total reclaimed space: 0B`, "image", "prune", "-f")
	other.want(`.*Deleted Images:.*Total reclaimed space: .*`, "image", "prune", "-af")
	c.refuse("No such image: base:v1", "rmi", "base:v1")
	c.refuse("No such image: nothing:latest", "image", "inspect", "nothing")
	c.refuse("An image does not exist locally with the tag: "+host+"/nothing", "push", host+"/nothing")
	c.refuse("manifest for "+host+"/team/app:none not found: manifest unknown: ", "pull", host+"/team/app:none")
	c.refuse("connection refused", "pull", "127.0.0.1:1/x")
	if out, err := c.run(bytes.NewReader([]byte("no archive at all")), "load"); err == nil {
		t.Errorf("loaded garbage: %s", out)
	}
	if out, err := c.run(bytes.NewReader(make([]byte, 4096)), "import", "-", "zeros"); err != nil {
		t.Errorf("an empty archive: %s", out)
	}
}
