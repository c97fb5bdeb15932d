package quotas_test

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"berth/quotas"
)

func TestParsePorts(t *testing.T) {
	got, err := quotas.ParsePorts([]string{"443", "8000-8999", "53/udp", "1-65535/tcp"})
	want := []quotas.Ports{{First: 443, Last: 443}, {First: 8000, Last: 8999}, {UDP: true, First: 53, Last: 53}, {First: 1, Last: 65535}}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%+v, %v", got, err)
	}
	for _, s := range []string{"", "0", "65536", "9-8", "-", "1-", "-1", "1-2-3", "+1", "1/", "1/icmp", "1/tcp/udp", "1/TCP", " 1", "http"} {
		if got, err := quotas.ParsePorts([]string{"80", s}); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("%q", s)) {
			t.Errorf("%q: %+v, %v", s, got, err)
		}
	}
}

// FuzzParsePorts: what is accepted says the same when it is written down again, and holds no port 0.
func FuzzParsePorts(f *testing.F) {
	for _, s := range []string{"443", "8000-8999", "53/udp", "443/tcp", "0-0", "1-65536", "00001", "1-2-3", "9-8/udp"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, err := quotas.ParsePorts([]string{s})
		if err != nil {
			if !strings.Contains(err.Error(), fmt.Sprintf("%q", s)) {
				t.Errorf("%v does not say %q", err, s)
			}
			return
		}
		if len(got) != 1 || got[0].First == 0 || got[0].Last < got[0].First {
			t.Fatalf("%q is %+v", s, got)
		}
		again := fmt.Sprintf("%d-%d/tcp", got[0].First, got[0].Last)
		if got[0].UDP {
			again = strings.Replace(again, "tcp", "udp", 1)
		}
		if second, err := quotas.ParsePorts([]string{again}); err != nil || !slices.Equal(got, second) {
			t.Errorf("%q is %+v, and %q %+v, %v", s, got, again, second, err)
		}
	})
}

// TestLimitsThatCannotWork: each is told when environments.yaml is read, not when the first visitor comes.
func TestLimitsThatCannotWork(t *testing.T) {
	good := quotas.Limits{
		CPUs: 1, MemoryBytes: 1 << 30, PIDs: 512, DiskBytes: 1 << 30, DiskInodes: 1 << 16, Terminals: 1,
		Egress: quotas.Egress{Ports: []string{"443"}},
	}
	if err := good.Validate(); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*quotas.Limits){
		"cpus":                   func(l *quotas.Limits) { l.CPUs = math.NaN() },
		"cpus is 1e+300":         func(l *quotas.Limits) { l.CPUs = 1e300 }, // as an int it is negative
		"cpus is 0":              func(l *quotas.Limits) { l.CPUs = 0 },
		"memory":                 func(l *quotas.Limits) { l.MemoryBytes = 1 },
		"pids is 1:":             func(l *quotas.Limits) { l.PIDs = 1 },
		"pids is 4194305":        func(l *quotas.Limits) { l.PIDs = 4194305 }, // EINVAL from the kernel
		"disk is":                func(l *quotas.Limits) { l.DiskBytes = 1 },
		"disk inodes":            func(l *quotas.Limits) { l.DiskInodes = 1 },
		"bandwidth":              func(l *quotas.Limits) { l.Bandwidth = -1 },
		"terminals":              func(l *quotas.Limits) { l.Terminals = 0 },
		`egress port "https"`:    func(l *quotas.Limits) { l.Egress.Ports = []string{"443", "https"} },
		"connections_per_second": func(l *quotas.Limits) { l.Egress.ConnectionsPerSecond = -1 },
	} {
		l := good
		change(&l)
		if err := l.Validate(); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
