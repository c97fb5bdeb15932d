package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"berth/sessions"
	"berth/terminal/execstream"
)

// hostRounds is how often each side has its turn.
const hostRounds = 4

// command is what both Docker hosts are asked for: a script of bash that prints nanoseconds, one figure a line.
type command struct {
	what   string
	script string
	limit  float64 // of the peer's median
	goal   string
}

// timed is a script that runs cmd n times and prints how long each took.
func timed(n int, cmd string) string {
	return fmt.Sprintf("for i in $(seq %d); do a=$(date +%%s%%N); %s >/dev/null || exit; b=$(date +%%s%%N); echo $((b-a)); done", n, cmd)
}

var hostCommands = []command{
	{"docker run --rm busybox true", timed(5, "docker run --rm busybox true"), 1.0 / 3, "≤ 1/3×"},
	{"docker exec", "docker run -d --name ex busybox sleep 999 >/dev/null; " + timed(5, "docker exec ex true") + "; docker rm -f ex >/dev/null", 1.0 / 2, "≤ 1/2×"},
	{"docker ps with 50 containers", "for i in $(seq 50); do docker create --name p$i busybox true >/dev/null; done; " + timed(5, "docker ps -a") +
		"; docker rm $(docker ps -aq) >/dev/null", 1, "≤ 1×"},
	{"100 × docker run --rm in a row", timed(1, "for j in $(seq 100); do docker run --rm busybox true || exit; done"), 1.0 / 3, "≤ 1/3×"},
	{"20 containers at once", timed(1, "{ for j in $(seq 20); do docker run -d --name s$j busybox sleep 999 & done; wait; }") +
		"; docker rm -f $(docker ps -aq) >/dev/null", 1.0 / 3, "≤ 1/3×"},
}

// dockerHost compares the same commands, by the same docker program, in a session and against dockerd. Both have a bridge.
func (b *bench) dockerHost(ctx context.Context, r *report) error {
	if b.docker == nil {
		r.remark("docker host: not measured, dockerd is not installed (Debian: apt-get install docker.io)")
		return nil
	}
	m, err := b.open(ctx, "docker")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.end(ctx, m)) }()
	for _, c := range hostCommands {
		var ours, theirs samples
		for range hostRounds {
			if err := b.inSession(ctx, m.id, c.script, &ours); err != nil {
				return fmt.Errorf("%s: %w", c.what, err)
			}
			if err := b.onHost(ctx, c.script, &theirs); err != nil {
				return fmt.Errorf("%s, dockerd: %w", c.what, err)
			}
		}
		r.compare(c.what, ours, "dockerd", theirs, c.limit, c.goal)
	}
	return b.engineMemory(ctx, r, m.id)
}

// inSession runs a script in the workspace.
func (b *bench) inSession(ctx context.Context, id sessions.ID, script string, into *samples) error {
	out, err := b.server.client.Run(ctx, id, execstream.Request{Cmd: []string{"bash", "-c", script}}, "")
	if err == nil && out.ExitCode != 0 {
		err = fmt.Errorf("exit %d: %s", out.ExitCode, out.Stderr)
	}
	if err != nil {
		return err
	}
	return parseSamples(out.Stdout, into)
}

// onHost runs a script against dockerd.
func (b *bench) onHost(ctx context.Context, script string, into *samples) error {
	cmd := exec.CommandContext(ctx, "bash", "-c", script)
	cmd.Env = append(os.Environ(), "DOCKER_HOST="+b.docker.host, "DOCKER_CONFIG="+b.docker.config(), "PATH="+b.bin+":"+os.Getenv("PATH"))
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return err
	}
	return parseSamples(string(out), into)
}

func parseSamples(out string, into *samples) error {
	for line := range strings.FieldsSeq(out) {
		n, err := strconv.ParseInt(line, 10, 64)
		if err != nil {
			return err
		}
		*into = append(*into, time.Duration(n))
	}
	return nil
}

// engineMemory compares what the engines hold with ten containers that do nothing.
func (b *bench) engineMemory(ctx context.Context, r *report, id sessions.ID) error {
	const idle = 10
	script := fmt.Sprintf("for i in $(seq %d); do docker run -d busybox sleep 999 >/dev/null; done", idle)
	var none samples
	if err := errors.Join(b.inSession(ctx, id, script, &none), b.onHost(ctx, script, &none)); err != nil {
		return err
	}
	engine, err := findProcess(func(cmdline string) bool { return cmdline == "berth\x00sandbox\x00"+string(id)+"\x00" }, 0)
	if err != nil {
		return err
	}
	ours, err := memoryOf(engine)
	if err != nil {
		return err
	}
	theirs, n, err := b.docker.memory()
	if err != nil {
		return err
	}
	ratio := float64(ours) / float64(theirs)
	r.add(row{
		what: fmt.Sprintf("private memory of the engine with %d idle containers", idle), ours: fmt.Sprintf("%.1f MB", float64(ours)/1e6),
		peer: fmt.Sprintf("dockerd, containerd, shims (%d processes) %.1f MB", n, float64(theirs)/1e6), ratio: ratio, goal: "≤ 1/4×", met: ratio <= 0.25, count: 1,
	})
	return nil
}

// memory adds up dockerd and all that it has started for itself: each names its directory or socket.
func (d *dockerPeer) memory() (sum int64, n int, err error) {
	dir := filepath.Dir(strings.TrimPrefix(d.host, "unix://"))
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		return 0, 0, err
	}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil || !strings.Contains(string(b), dir) {
			continue
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(f)))
		if err != nil {
			return 0, 0, err
		}
		name, _, _ := strings.Cut(string(b), "\x00")
		switch base := filepath.Base(name); {
		case base == "dockerd", strings.HasPrefix(base, "containerd"), base == "docker-proxy":
			held, err := memoryOf(pid)
			if err != nil {
				return 0, 0, err
			}
			sum, n = sum+held, n+1
		}
	}
	return sum, n, nil
}
