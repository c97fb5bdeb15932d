package container_test

import (
	"strings"
	"testing"
)

// TestLife takes a container through its states.
func TestLife(t *testing.T) {
	b := newBox(t)
	state := func(name string) string {
		return b.must("inspect", "-f", "{{.State.Status}} {{.State.ExitCode}}", name)
	}
	want := func(name, want string) {
		t.Helper()
		if got := state(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	b.must("create", "--name", "life", "--stop-signal", "USR1", "busybox", "sh", "-c", "trap 'exit 3' USR1; while :; do sleep 0.05; done")
	want("life", "created 0")
	if r := b.docker("create", "--name", "life", "busybox"); !strings.Contains(r.errs, `Conflict. The container name "/life" is already in use by container "`) {
		t.Error(r)
	}
	b.must("start", "life")
	want("life", "running 0")
	b.must("pause", "life")
	want("life", "paused 0")
	if r := b.docker("exec", "life", "true"); !strings.Contains(r.errs, "is paused, unpause the container before exec") {
		t.Error(r)
	}
	b.must("unpause", "life")
	if r := b.docker("rm", "life"); !strings.Contains(r.errs, "container is running: stop the container before removing or force remove") {
		t.Error(r)
	}
	b.must("stop", "life")
	want("life", "exited 3")
	b.must("restart", "life")
	want("life", "running 0")
	b.must("rename", "life", "other")
	b.must("kill", "other")
	want("other", "exited 137")
	if got := b.must("wait", "other"); got != "137" {
		t.Errorf("wait prints %q", got)
	}
	b.must("rm", "other")
	if r := b.docker("inspect", "other"); !strings.Contains(r.errs, "No such") {
		t.Error(r)
	}
}

// TestExec joins a running container.
func TestExec(t *testing.T) {
	b := newBox(t)
	b.must("run", "-d", "--name", "box", "-e", "A=1", "-w", "/tmp", "busybox", "sleep", "1000")
	for _, c := range []struct {
		args, want string
		code       int
	}{
		{args: "box sh -c|pwd; echo $A", want: "/tmp\n1"},
		{args: "-e A=2 -w /etc -u 7 box sh -c|pwd; echo $A; id -u", want: "/etc\n2\n7"},
		{args: "box sh -c|exit 9", code: 9},
		{args: "box nosuch", want: `…exec: "nosuch": executable file not found in $PATH: unknown`, code: 127},
		{args: "--privileged box sh -c|grep -c 0000000000000000 /proc/self/status | grep -q . && grep CapBnd /proc/self/status", want: "CapBnd:\t000001ff…"},
		{args: "-d box true"},
	} {
		t.Run(c.args, func(t *testing.T) {
			words, last, _ := strings.Cut(c.args, "|")
			args := append([]string{"exec"}, strings.Fields(words)...)
			if last != "" {
				args = append(args, last)
			}
			if got := b.docker(args...); got.code != c.code || !matches(got.out+got.errs, c.want) {
				t.Errorf("%v\nwant code %d, %s", got, c.code, c.want)
			}
		})
	}
	b.must("rm", "-f", "box")
}

// TestRestartPolicies: always, so many times, and no more when it was stopped.
func TestRestartPolicies(t *testing.T) {
	b := newBox(t)
	b.must("run", "-d", "--name", "thrice", "--restart", "on-failure:2", "busybox", "sh", "-c", "exit 4")
	b.eventually("exited 4 2", "inspect", "-f", "{{.State.Status}} {{.State.ExitCode}} {{.RestartCount}}", "thrice")
	b.must("run", "-d", "--name", "ever", "--restart", "always", "busybox", "true")
	b.eventually("3", "inspect", "-f", "{{.RestartCount}}", "ever")
	b.must("stop", "ever")
	if got := b.must("inspect", "-f", "{{.State.Status}}", "ever"); got != "exited" {
		t.Errorf("a stopped container is %s", got)
	}
	b.must("run", "-d", "--name", "well", "--restart", "on-failure", "busybox", "true")
	b.eventually("exited 0", "inspect", "-f", "{{.State.Status}} {{.RestartCount}}", "well")
}

// TestHealth: starting, unhealthy, healthy, and the events.
func TestHealth(t *testing.T) {
	b := newBox(t)
	b.must("run", "-d", "--name", "ill", "--health-cmd", "echo looked; test -e /ok", "--health-interval", "100ms", "--health-retries", "2",
		"busybox", "sleep", "1000")
	const status = "{{.State.Health.Status}}"
	b.eventually("unhealthy", "inspect", "-f", status, "ill")
	b.must("exec", "ill", "touch", "/ok")
	b.eventually("healthy", "inspect", "-f", status, "ill")
	if got := b.must("inspect", "-f", "{{(index .State.Health.Log 0).Output}}", "ill"); got != "looked" {
		t.Errorf("the check printed %q", got)
	}
	b.eventually("health_status: unhealthy\nhealth_status: healthy", "events", "--since", "1m", "--until", "0s", "--filter",
		"event=health_status", "--format", "{{.Action}}")
}

// TestLimits: what the kernel is told, and that a container which takes too much is ended and said so.
func TestLimits(t *testing.T) {
	b := newBox(t)
	r := b.docker("run", "--name", "big", "--memory", "16m", "busybox", "tail", "/dev/zero")
	if got := b.must("inspect", "-f", "{{.State.OOMKilled}} {{.State.ExitCode}}", "big"); got != "true 137" || r.code != 137 {
		t.Errorf("it ended with %q, docker run with %d", got, r.code)
	}
	b.must("run", "-d", "--name", "small", "--memory", "16m", "busybox", "sleep", "1000")
	b.must("update", "--memory", "24m", "--memory-swap", "48m", "--restart", "always", "small")
	if got := b.must("inspect", "-f", "{{.HostConfig.Memory}} {{.HostConfig.RestartPolicy.Name}}", "small"); got != "25165824 always" {
		t.Errorf("it has %q", got)
	}
	if got := b.must("stats", "--no-stream", "--format", "{{.MemUsage}}", "small"); !strings.HasSuffix(got, "/ 24MiB") {
		t.Errorf("stats say %q", got)
	}
	if got := b.must("top", "small", "-o", "user,args"); !strings.Contains(got, "sleep 1000") {
		t.Errorf("top says %q", got)
	}
}

// TestVolumesFrom: what another container has mounted, read-only where that is asked for.
func TestVolumesFrom(t *testing.T) {
	b := newBox(t)
	b.must("run", "--name", "data", "-v", "/data", "busybox", "sh", "-c", "echo kept >/data/file")
	if got := b.must("run", "--rm", "--volumes-from", "data:ro", "busybox", "cat", "/data/file"); got != "kept" {
		t.Errorf("got %q", got)
	}
	if r := b.docker("run", "--rm", "--volumes-from", "data:ro", "busybox", "touch", "/data/file"); r.code == 0 {
		t.Error("a read-only mount was written to")
	}
	b.must("rm", "-v", "data")
	if left := b.must("volume", "ls", "-q"); left != "" {
		t.Errorf("left: %s", left)
	}
}

// TestNamespacesOfOthers: network, processes and IPC of another container.
func TestNamespacesOfOthers(t *testing.T) {
	b := newBox(t)
	b.must("run", "-d", "--name", "first", "--ipc", "shareable", "busybox", "sleep", "1000")
	id := b.must("inspect", "-f", "{{slice .Id 0 12}}", "first")
	for args, want := range map[string]string{
		"--network container:first busybox hostname":        id,
		"--pid container:first busybox cat /proc/1/cmdline": "sleep\x001000\x00",
		"--ipc container:first busybox touch /dev/shm/note": "",
	} {
		if got := b.docker(append([]string{"run", "--rm"}, strings.Fields(args)...)...); got.code != 0 || got.out != strings.TrimSpace(want) {
			t.Errorf("%s: %v, want %q", args, got, want)
		}
	}
	if got := b.must("exec", "first", "ls", "/dev/shm"); got != "note" {
		t.Errorf("/dev/shm holds %q", got)
	}
	b.must("rm", "-f", "first")
}

// TestLists: filters of docker ps.
func TestLists(t *testing.T) {
	b := newBox(t)
	b.must("run", "-d", "--name", "runs", "--label", "a=b", "-p", "8080:80", "-v", "vol:/v", "busybox", "sleep", "1000")
	b.docker("run", "--name", "ended", "busybox", "sh", "-c", "exit 3")
	b.must("create", "--name", "made", "busybox")
	for filter, want := range map[string]string{
		"status=running": "runs", "status=exited": "ended", "status=created": "made", "exited=3": "ended", "label=a": "runs", "label=a=c": "",
		"name=un": "runs", "ancestor=busybox": "made ended runs", "before=ended": "runs", "since=ended": "made", "publish=8080": "runs",
		"expose=80": "runs", "volume=vol": "runs", "volume=/v": "runs", "network=bridge": "made ended runs", "health=none": "made ended runs",
		"is-task=true": "",
	} {
		got := strings.Join(strings.Fields(b.must("ps", "-a", "--filter", filter, "--format", "{{.Names}}")), " ")
		if got != want {
			t.Errorf("%s: %q, want %q", filter, got, want)
		}
	}
	if r := b.docker("ps", "--filter", "nonsense=1"); !strings.Contains(r.errs, "invalid filter 'nonsense'") {
		t.Error(r)
	}
	b.must("rm", "-f", "runs")
	if got := b.must("container", "prune", "-f"); !strings.Contains(got, "Total reclaimed space") {
		t.Errorf("prune prints %q", got)
	}
	if left := b.must("ps", "-aq"); left != "" {
		t.Errorf("left: %s", left)
	}
}
