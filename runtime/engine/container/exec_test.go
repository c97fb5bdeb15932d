package container_test

import (
	"strconv"
	"strings"
	"testing"
)

// self prints what a process is, as far as a container's first process and one that joins must be the same. The signals that
// are caught are the shell's own.
const self = `echo cwd $PWD; set -- /proc/$$/fd/*; echo files $#; ` +
	`grep -E "^(Uid|Gid|Groups|Umask|NoNewPrivs|Seccomp|Seccomp_filters|Cap[A-Za-z]*|SigBlk|SigPnd):" /proc/self/status; ` +
	`cat /proc/self/limits /proc/self/cgroup /proc/self/oom_score_adj; for n in mnt pid net ipc uts cgroup user; do readlink /proc/self/ns/$n; done; ` +
	`env | grep -v "^SHLVL" | sort`

// TestExecIsAsTheContainer compares a container's first process, which runc has made, with one that docker-exec has: users,
// capabilities, the system call filter, limits, control groups and namespaces.
func TestExecIsAsTheContainer(t *testing.T) {
	b := newBox(t)
	for name, flags := range map[string][]string{
		"default":         nil,
		"user":            {"--user", "1000:1000"},
		"groups":          {"--user", "1000", "--group-add", "7", "--group-add", "9"},
		"privileged":      {"--privileged"},
		"no rights":       {"--cap-drop", "ALL"},
		"one right":       {"--cap-drop", "ALL", "--cap-add", "NET_ADMIN"},
		"no new rights":   {"--security-opt", "no-new-privileges"},
		"nobody confined": {"--security-opt", "no-new-privileges", "--user", "65534", "--cap-drop", "ALL"},
		"unconfined":      {"--security-opt", "seccomp=unconfined"},
		"limits":          {"--ulimit", "nofile=100:200", "--ulimit", "core=0", "--memory", "64m", "--pids-limit", "50"},
		"directory":       {"--workdir", "/tmp"},
		"the host's":      {"--pid", "host", "--ipc", "host", "--uts", "host", "--network", "host"},
		"no network":      {"--network", "none"},
		"environment":     {"--env", "A=1", "--env", "HOME=/tmp"},
		"OOM":             {"--oom-score-adj", "300"},
	} {
		t.Run(name, func(t *testing.T) {
			id := b.must(append(append([]string{"run", "-d"}, flags...), "busybox", "sh", "-c", self+"; : >/dev/shm/said; exec sleep 999")...)
			defer b.must("rm", "-f", id)
			joined := b.must("exec", id, "sh", "-c", "until [ -e /dev/shm/said ]; do sleep 0.1; done; "+self)
			first := b.docker("logs", id).out
			other := strings.Split(joined, "\n")
			for i, line := range strings.Split(first, "\n") {
				if i >= len(other) || other[i] != line {
					t.Errorf("the first process has\n%s\nand one that joined\n%s", line, strings.Join(other[min(i, len(other)):min(i+3, len(other))], "\n"))
				}
			}
			if !strings.Contains(joined, "Seccomp:") || !strings.Contains(joined, "cgroup:[") {
				t.Errorf("it says too little:\n%s", joined)
			}
		})
	}
}

// TestExecStaysInside: no working directory leads out by the descriptors with which a process joins (CVE-2024-21626), and no
// terminal is taken from what a container has put in the place of its own.
func TestExecStaysInside(t *testing.T) {
	b := newBox(t)
	b.must("run", "-d", "--name", "in", "--privileged", "busybox", "sleep", "999")
	for fd := range 12 {
		dir := "/proc/self/fd/" + strconv.Itoa(fd)
		if r := b.docker("exec", "--workdir", dir, "in", "ls", "-a", ".."); r.code == 0 || !strings.Contains(r.out, "chdir to cwd") {
			t.Errorf("%s leads to %v", dir, r)
		}
	}
	b.must("exec", "in", "sh", "-c", "mkdir -p /x/pts && mkfifo /x/ptmx /x/pts/ptmx && mount --bind /x/pts /dev/pts")
	if r := b.docker("exec", "--tty", "in", "true"); r.code == 0 || !strings.Contains(r.errs+r.out, "/dev/pts is not devpts") {
		t.Errorf("a terminal from a pipe: %v", r)
	}
	b.must("exec", "in", "true") // and without one it still works
}

// TestExecAtTheLimit: where a container has no room for another process, that is said, and nothing stays behind.
func TestExecAtTheLimit(t *testing.T) {
	b := newBox(t)
	b.must("run", "-d", "--name", "full", "--pids-limit", "1", "busybox", "sleep", "999")
	before := b.holdings()
	for range 3 {
		if r := b.docker("exec", "full", "true"); r.code == 0 || !strings.Contains(r.out, "resource temporarily unavailable") {
			t.Errorf("%v", r)
		}
	}
	b.settled(before)
	b.must("update", "--pids-limit", "50", "full")
	b.must("exec", "full", "true")
}
