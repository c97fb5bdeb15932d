package container_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	dockerspec "github.com/moby/docker-image-spec/specs-go/v1"
	api "github.com/moby/moby/api/types/container"
	apimount "github.com/moby/moby/api/types/mount"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"berth/runtime/engine/container"
)

func imageOf(entrypoint, cmd []string) dockerspec.DockerOCIImageConfig {
	return dockerspec.DockerOCIImageConfig{ImageConfig: ocispec.ImageConfig{
		Entrypoint: entrypoint, Cmd: cmd, Env: []string{"PATH=/image", "ONLY=image"}, Labels: map[string]string{"a": "image", "b": "image"},
		User: "image", WorkingDir: "/image", StopSignal: "INT", Volumes: map[string]struct{}{"/v": {}}, ExposedPorts: map[string]struct{}{"80": {}},
	}}
}

// TestCommand is what runs: the request over the image, by Docker's table of ENTRYPOINT and CMD.
func TestCommand(t *testing.T) {
	for _, c := range []struct {
		name                   string
		entry, cmd, imgE, imgC []string
		want                   string // joined; "": no command
	}{
		{"the image's", nil, nil, []string{"e"}, []string{"c"}, "e c"},
		{"command over the image's", nil, []string{"x"}, []string{"e"}, []string{"c"}, "e x"},
		{"entrypoint takes the image's command away", []string{"n"}, nil, []string{"e"}, []string{"c"}, "n"},
		{"both", []string{"n"}, []string{"x"}, []string{"e"}, []string{"c"}, "n x"},
		{"no entrypoint", []string{""}, []string{"x"}, []string{"e"}, nil, "x"},
		{"nothing", nil, nil, nil, nil, ""},
		{"nothing left", []string{""}, nil, []string{"e"}, []string{"c"}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			conf := &api.Config{Entrypoint: c.entry, Cmd: c.cmd}
			if err := container.Merge(conf, imageOf(c.imgE, c.imgC)); err != nil {
				t.Fatal(err)
			}
			path, args, err := container.Command(conf)
			got := strings.TrimSpace(path + " " + strings.Join(args, " "))
			if got != c.want || (err != nil) != (c.want == "") {
				t.Errorf("%q, %v; want %q", got, err, c.want)
			}
			if err != nil && (err.Error() != "no command specified" || !errdefs.IsInvalidArgument(err)) {
				t.Error(err)
			}
		})
	}
}

func TestMerge(t *testing.T) {
	c := &api.Config{Env: []string{"PATH=/own", "GONE"}, Labels: map[string]string{"a": "own"}, Cmd: []string{"x"}, Tty: true}
	if err := container.Merge(c, imageOf(nil, nil)); err != nil {
		t.Fatal(err)
	}
	if c.User != "image" || c.WorkingDir != "/image" || c.StopSignal != "INT" || len(c.Volumes) != 1 || len(c.ExposedPorts) != 1 {
		t.Errorf("%+v", c)
	}
	if c.Labels["a"] != "own" || c.Labels["b"] != "image" {
		t.Errorf("labels %v", c.Labels)
	}
	want := []string{"PATH=/own", "HOSTNAME=h", "TERM=xterm", "ONLY=image"}
	if got := container.Environment(c, "h"); !slices.Equal(got, want) {
		t.Errorf("environment %q, want %q", got, want)
	}
}

func TestConfigsThatCannotBe(t *testing.T) {
	second := time.Second
	for want, c := range map[string]*api.Config{
		"the working directory 'rel' is invalid, it needs to be an absolute path": {WorkingDir: "rel"},
		"invalid signal: NOPE":                            {StopSignal: "NOPE"},
		"invalid environment variable: =":                 {Env: []string{"=x"}},
		"is too long (maximum 64 bytes)":                  {Hostname: strings.Repeat("x", 65)},
		"Interval in Healthcheck cannot be less than 1ms": {Healthcheck: &api.HealthConfig{Interval: 1, Timeout: second}},
		"Retries in Healthcheck cannot be negative":       {Healthcheck: &api.HealthConfig{Retries: -1}},
	} {
		if err := container.CheckConfig(c); err == nil || !strings.Contains(err.Error(), want) || !errdefs.IsInvalidArgument(err) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

func TestSignals(t *testing.T) {
	for s, want := range map[string]unix.Signal{
		"9": 9, "KILL": 9, "SIGTERM": 15, "usr1": 10, "RTMIN": 34, "RTMIN+3": 37, "SIGRTMAX-1": 63, "": 0, "0": 0, "65": 0, "NOPE": 0,
		"RTMIN-1": 0, "RTMAX+1": 0, "-9": 0,
	} {
		got, err := container.ParseSignal(s)
		if got != want || (err != nil) != (want == 0) {
			t.Errorf("%q: %d, %v; want %d", s, got, err, want)
		}
	}
}

func TestBinds(t *testing.T) {
	for raw, want := range map[string]*container.Mount{
		"/a:/b":            {Type: "bind", Source: "/a", Destination: "/b", RW: true},
		"/a/../c:/b/:ro":   {Type: "bind", Source: "/c", Destination: "/b"},
		"/a:/b:rslave,z":   {Type: "bind", Source: "/a", Destination: "/b", RW: true, Propagation: "rslave"},
		"vol:/b":           {Type: "volume", Name: "vol", Destination: "/b", RW: true, Copy: true},
		"vol:/b:nocopy,ro": {Type: "volume", Name: "vol", Destination: "/b"},
		"/b":               {Type: "volume", Destination: "/b", RW: true, Copy: true, Own: true},
		"":                 nil, "/a:/b:/c:ro": nil, "/a:ro": nil, "/a:/b:ro,rw": nil, "/a:/b:nonsense": nil, "/a:b": nil, "/a:/": nil, ":/b": nil,
	} {
		got, err := container.ParseBind(raw, "")
		if want == nil {
			if err == nil || !errdefs.IsInvalidArgument(err) {
				t.Errorf("%q is %+v, %v", raw, got, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%q: %v", raw, err)
			continue
		}
		if got.Type != want.Type || got.Source != want.Source || got.Name != want.Name || got.Destination != want.Destination ||
			got.RW != want.RW || got.Copy != want.Copy || got.Own != want.Own || want.Propagation != "" && got.Propagation != want.Propagation {
			t.Errorf("%q is %+v, want %+v", raw, got, want)
		}
	}
}

// FuzzParseBind: what is taken has an absolute destination that is not the root.
func FuzzParseBind(f *testing.F) {
	for _, s := range []string{"/a:/b:ro", "vol:/b", "/b", "::", "a:b:c:d", "/a:/../:rw", "\x00:/\x00"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		p, err := container.ParseBind(raw, "")
		if err == nil && (!filepath.IsAbs(p.Destination) || p.Destination == "/") {
			t.Errorf("%q is mounted at %q", raw, p.Destination)
		}
	})
}

func TestMountsThatCannotBe(t *testing.T) {
	for want, m := range map[string]apimount.Mount{
		`invalid mount config for type "bind": field Target must not be empty`:                      {Type: "bind", Source: "/a"},
		`invalid mount config for type "bind": field Source must not be empty`:                      {Type: "bind", Target: "/a"},
		`invalid mount config for type "bind": invalid mount path: 'x' mount path must be absolute`: {Type: "bind", Target: "x", Source: "/a"},
		`invalid mount config for type "nonsense": mount type unknown`:                              {Type: "nonsense", Target: "/x"},
		`invalid mount config for type "tmpfs": field Source must not be specified`:                 {Type: "tmpfs", Target: "/x", Source: "y"},
		`invalid mount config for type "bind": field TmpfsOptions must not be specified`:            {Type: "bind", Target: "/x", Source: "/y", TmpfsOptions: &apimount.TmpfsOptions{}},
		`subpath must be a relative path within the volume`:                                         {Type: "volume", Target: "/x", Source: "v", VolumeOptions: &apimount.VolumeOptions{Subpath: "../x"}},
	} {
		if _, err := container.NewMount(m); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

func TestMountOptions(t *testing.T) {
	for _, c := range []struct {
		got  specs.Mount
		want string
	}{
		{container.Tmpfs("/t", nil), "noexec,nosuid,nodev"},
		{container.Tmpfs("/t", []string{"exec", "size=1m"}), "nosuid,nodev,exec,size=1m"},
		{container.Bind("/s", &container.Mount{RW: true}), "rbind,rprivate"},
		{container.Bind("/s", &container.Mount{Propagation: "rshared"}), "rbind,rshared,rro"},
		{container.Bind("/s", &container.Mount{Type: "volume"}), "rbind,rprivate,ro"},
		{container.Bind("/s", &container.Mount{Spec: apimount.Mount{BindOptions: &apimount.BindOptions{ReadOnlyNonRecursive: true}}}), "rbind,rprivate,ro"},
		{container.Bind("/s", &container.Mount{Spec: apimount.Mount{BindOptions: &apimount.BindOptions{ReadOnlyForceRecursive: true, NonRecursive: true}}}), "bind,rprivate,rro"},
	} {
		if got := strings.Join(c.got.Options, ","); got != c.want {
			t.Errorf("%s, want %s", got, c.want)
		}
	}
}

func TestSets(t *testing.T) {
	for s, want := range map[string]int{"": 0, "0": 1, "0-3": 4, "0-1,3,5-6": 5, "3-1": -1, "x": -1, "0-4294967295": -1, "-1": -1, "1-": -1} {
		set, err := container.ParseSet(s)
		if got := len(set); err == nil && got != want || (err != nil) != (want < 0) {
			t.Errorf("%q: %d, %v; want %d", s, got, err, want)
		}
	}
}

func TestPSOptions(t *testing.T) {
	for args, want := range map[string]int{"": 8, "-ef": 8, "aux": 11, "-o pid,comm": 2, "-eo pid,user,args": 3, "-opid": 1, "-o pid -o comm": 2, "-o nonsense": -1, "--forest": -1} {
		got, err := container.ParsePS(args)
		if err == nil && len(got) != want || (err != nil) != (want < 0) {
			t.Errorf("%q: %q, %v; want %d columns", args, got, err, want)
		}
	}
}

// FuzzParseStat: a program's name may hold anything.
func FuzzParseStat(f *testing.F) {
	f.Add("1 (a) b) S 0 1 1 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 9 1000 200 1")
	f.Add("1 (")
	f.Fuzz(func(t *testing.T, s string) {
		p, err := container.ParseStat(1, s)
		if err == nil && p == nil {
			t.Error("no process and no error")
		}
	})
}

func TestMoments(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for s, want := range map[string]time.Time{
		"1h": now.Add(-time.Hour), "100": time.Unix(100, 0), "100.5": time.Unix(100, 5e8), "2026-01-01": time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC),
		"2026-01-01T10:00:00Z": time.Date(2026, 1, 1, 10, 0, 0, 0, time.UTC), "nonsense": {}, "1.0000000001": {},
	} {
		got, err := container.Moment(s, now)
		if !got.Equal(want) || (err != nil) != want.IsZero() {
			t.Errorf("%q: %v, %v; want %v", s, got, err, want)
		}
	}
}

func TestStates(t *testing.T) {
	now := time.Now()
	ago := now.Add(-90 * time.Second)
	for want, s := range map[string]*container.State{
		"Created":                              {},
		"Up About a minute":                    {Running: true, StartedAt: ago},
		"Up About a minute (Paused)":           {Running: true, Paused: true, StartedAt: ago},
		"Up About a minute (healthy)":          {Running: true, StartedAt: ago, Health: &api.Health{Status: api.Healthy}},
		"Up About a minute (health: starting)": {Running: true, StartedAt: ago, Health: &api.Health{Status: api.Starting}},
		"Restarting (3) About a minute ago":    {Running: true, Restarting: true, ExitCode: 3, FinishedAt: ago},
		"Exited (137) About a minute ago":      {StartedAt: ago, FinishedAt: ago, ExitCode: 137},
		"Removal In Progress":                  {Removing: true},
		"Dead":                                 {Dead: true},
	} {
		if got := container.Words(s, now); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestIDs(t *testing.T) {
	a, b := container.NewID(), container.NewID()
	if len(a) != 64 || a == b || strings.Trim(a, "0123456789abcdef") != "" {
		t.Errorf("%s, %s", a, b)
	}
}

// TestUsers looks into the container's own files, whose links do not lead out of it.
func TestUsers(t *testing.T) {
	outside, root := t.TempDir(), t.TempDir()
	for path, content := range map[string]string{
		outside + "/passwd": "secret:x:5:5::/:/bin/sh\n",
		root + "/etc/group": "wheel:x:10:joe\nextra:x:20:\n",
	} {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(outside+"/passwd", root+"/etc/passwd"); err != nil {
		t.Fatal(err)
	}
	if u, _, err := container.LookupUser(root, "secret", nil); err == nil {
		t.Errorf("a file outside was read: %+v", u)
	}
	if err := os.Remove(root + "/etc/passwd"); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(root+"/etc/passwd", []byte("joe:x:7:8::/home/joe:/bin/sh\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		who  string
		more []string
		want specs.User
	}{
		{"", nil, specs.User{AdditionalGids: []uint32{0}}},
		{"joe", []string{"extra", "30"}, specs.User{UID: 7, GID: 8, AdditionalGids: []uint32{8, 10, 20, 30}}},
		{"1000:extra", nil, specs.User{UID: 1000, GID: 20, AdditionalGids: []uint32{20}}},
		{"5:6", nil, specs.User{UID: 5, GID: 6, AdditionalGids: []uint32{6}}},
	} {
		got, _, err := container.LookupUser(root, c.who, c.more)
		slices.Sort(got.AdditionalGids)
		if err != nil || got.UID != c.want.UID || got.GID != c.want.GID || !slices.Equal(got.AdditionalGids, c.want.AdditionalGids) {
			t.Errorf("%q: %+v, %v; want %+v", c.who, got, err, c.want)
		}
	}
	if _, _, err := container.LookupUser(root, "nobody", nil); err == nil || err.Error() != "unable to find user nobody: no matching entries in passwd file" {
		t.Error(err)
	}
}
