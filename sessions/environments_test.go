package sessions_test

import (
	"errors"
	"os"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"berth/quotas"
	"berth/sessions"
)

func TestDeployedEnvironments(t *testing.T) {
	list, err := sessions.LoadEnvironmentsFile("../deploy/environments.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if len(list) != 2 || list[0].Name != "debian" || list[1].Name != "busybox" || list[1].Hostname != "busybox" {
		t.Fatalf("environments: %+v", list)
	}
	want := quotas.Limits{
		CPUs: 1, MemoryBytes: 1 << 30, PIDs: 512, DiskBytes: 4 << 30, DiskInodes: 262144, Bandwidth: 1e8, Terminals: 8,
		Egress: quotas.Egress{Ports: []string{}, ConnectionsPerSecond: 50},
	}
	for _, e := range list {
		if !reflect.DeepEqual(e.Limits, want) {
			t.Errorf("%s: limits %+v, want %+v", e.Name, e.Limits, want)
		}
		if e.Lifetime != 45*time.Minute || e.MaxLifetime != 3*time.Hour || e.IdleTimeout != 15*time.Minute || e.Pool != 2 {
			t.Errorf("%s: %+v", e.Name, e)
		}
	}
}

const goodEnvironment = `environments:
  - name: a
    image: a:1
    limits: {cpus: "1.5", memory: 512MiB, pids: 100, disk: 1GB, inodes: 10000, bandwidth: 1.5Mbit/s, terminals: 2, egress: {ports: ["443"]}}
    lifetime: 20s
    max_lifetime: 1h30m
`

func TestLoadEnvironments(t *testing.T) {
	list, err := sessions.LoadEnvironments(strings.NewReader(goodEnvironment))
	if err != nil {
		t.Fatal(err)
	}
	e := list[0]
	if e.Limits.CPUs != 1.5 || e.Limits.MemoryBytes != 512<<20 || e.Limits.DiskBytes != 1e9 || e.Limits.Bandwidth != 1.5e6 ||
		e.Lifetime != 20*time.Second || e.Title != "a" || len(e.Limits.Egress.Ports) != 1 {
		t.Errorf("%+v", e)
	}
}

func TestLoadEnvironmentsRefuses(t *testing.T) {
	edit := func(old, with string) string { return strings.Replace(goodEnvironment, old, with, 1) }
	for name, test := range map[string]struct {
		yaml string
		want []string
	}{
		"empty":         {"", []string{"no environment"}},
		"none":          {"environments: []", []string{"no environment"}},
		"unknown key":   {edit("image: a:1", "image: a:1\n    memroy: 1GB"), []string{"line 4", "memroy"}},
		"unknown limit": {edit("pids: 100", "pids: 100, pdis: 3"), []string{"line 4", "pdis"}},
		"unknown top":   {goodEnvironment + "enviroment: 3\n", []string{"line 7", "enviroment"}}, //nolint:misspell // on purpose
		"bad size":      {edit("512MiB", "lots"), []string{"line 4", "lots", "512MB"}},
		"bad rate":      {edit("1.5Mbit/s", "1 furlong"), []string{"line 4", "furlong", "100Mbit/s"}},
		"bad time":      {edit("20s", "soon"), []string{"line 5", "soon"}},
		"wrong type":    {edit("pids: 100", "pids: many"), []string{"line 4"}},
		"no yaml":       {"environments: [", []string{"line 1"}},
		"a tag":         {"environments:\n  !0 00000", []string{"not the YAML of environments"}},
		"twice":         {goodEnvironment + strings.TrimPrefix(goodEnvironment, "environments:\n"), []string{"environment a", "twice"}},
		"key twice":     {edit("image: a:1", "image: a:1\n    image: a:2"), []string{"line 4", "image"}},
		"bad name":      {edit("name: a", "name: ../a"), []string{"../a"}},
		"no image":      {edit("image: a:1", "image: ''"), []string{"environment a", "image"}},
		"little memory": {edit("512MiB", "1MB"), []string{"environment a", "memory"}},
		"no lifetime":   {edit("lifetime: 20s", "lifetime: 0s"), []string{"environment a", "lifetime"}},
		"short most":    {edit("1h30m", "10s"), []string{"environment a", "max_lifetime"}},
		"no number":     {edit(`"1.5"`, ".nan"), []string{"environment a", "cpus"}},
		"bad port":      {edit(`"443"`, `"https"`), []string{"environment a", "egress port", "https"}},
		"endless CPUs":  {edit(`"1.5"`, ".inf"), []string{"environment a", "cpus"}},
		"bad hostname":  {edit("image: a:1", "image: a:1\n    hostname: A B"), []string{"environment a", "hostname"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := sessions.LoadEnvironments(strings.NewReader(test.yaml))
			if err == nil {
				t.Fatal("no error")
			}
			for _, part := range test.want {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("%q does not say %q", err, part)
				}
			}
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("more than one line: %q", err)
			}
		})
	}
	if _, err := sessions.LoadEnvironmentsFile(t.TempDir() + "/none.yaml"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a file that is not there: %v", err)
	}
}

func FuzzLoadEnvironments(f *testing.F) {
	f.Add(goodEnvironment)
	f.Add("environments: [")
	f.Fuzz(func(t *testing.T, s string) { checkLoaded(t, s) })
}

// checkLoaded loads a file that may be anything: what is accepted can work, what is not is told in one line.
func checkLoaded(t *testing.T, s string) []sessions.Environment {
	t.Helper()
	list, err := sessions.LoadEnvironments(strings.NewReader(s))
	if err != nil && strings.Contains(err.Error(), "\n") {
		t.Errorf("more than one line: %q", err)
	}
	for _, e := range list {
		if err := e.Validate(); err != nil {
			t.Errorf("accepted, but %v", err)
		}
	}
	return list
}

// FuzzUnits puts a text where sizes, rates and times are read, plain and in quotes.
func FuzzUnits(f *testing.F) {
	for _, s := range []string{
		"512MB", "4GiB", "1e9", "-1", "18446744073709551615", "9EiB", "16EB", "1.5Mbit/s", "1,000", "1 furlong", "NaN", "inf", "1e400",
		"45m", "1h30m", "2562048h", "-5s", "0", "null", "&x 1GB", "*x", "[1GB]", "{1GB: 2}", "\n      1GB: 2", "!!str 1GB", "<<: 1", "0x10", "",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for _, field := range []string{"memory: 512MiB", "disk: 1GB", "bandwidth: 1.5Mbit/s", "lifetime: 20s", "max_lifetime: 1h30m"} {
			name, _, _ := strings.Cut(field, " ")
			for _, text := range []string{s, strconv.Quote(s)} {
				for _, e := range checkLoaded(t, strings.Replace(goodEnvironment, field, name+" "+text, 1)) {
					if l := e.Limits; l.Bandwidth > 1e15 || e.MaxLifetime < e.Lifetime {
						t.Errorf("%s %s gives %+v", name, text, e)
					}
				}
			}
		}
	})
}
