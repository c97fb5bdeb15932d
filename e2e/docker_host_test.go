package e2e_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// hostProbes are what a visitor may ask Docker for to get at the machine that Berth runs on. Each prints all that it could read;
// CANARY is the path of a file on the real host, and TOKEN what is in it.
var hostProbes = map[string]string{
	"bind of the root":           `docker run --rm -v /:/x busybox sh -c 'cat /x/CANARY; ls -R /x/root /x/tmp | head -500; echo TOKENBREAK >/x/CANARY'`,
	"bind of kernel files":       `docker run --rm --privileged -v /proc:/p -v /sys:/s -v /dev:/d busybox sh -c 'cat /p/1/root/CANARY; cat /p/1/environ; ls -l /p/1/root/ /p/1/cwd/ /d; echo TOKENBREAK >/p/1/root/CANARY'`,
	"privileged, host's pids":    `docker run --rm --privileged --pid host --network host --ipc host --uts host busybox sh -c 'for p in /proc/[0-9]*; do cat $p/root/CANARY $p/cwd/CANARY 2>/dev/null; done; nsenter -t 1 -m -n -p cat /CANARY'`,
	"the engine through /proc":   `docker run --rm --privileged -v /proc:/p busybox sh -c 'nsenter --mount=/p/1/ns/mnt cat /CANARY; nsenter --mount=/p/1/ns/mnt ls / /disk /layers /programs; nsenter --mount=/p/1/ns/mnt sh -c "echo TOKENBREAK > /programs/runc"'`,
	"volume with o=bind":         `docker volume create -o type=none -o o=bind -o device=/ hole; docker run --rm -v hole:/x busybox cat /x/CANARY; docker volume rm hole`,
	"volume of another type":     `docker volume create -o type=ext4 -o device=/dev/vda hole; docker run --rm -v hole:/x busybox cat /x/CANARY; docker volume rm hole`,
	"device of the host":         `docker run --rm --device /dev/vda busybox head -c 512 /dev/vda; docker run --rm --privileged busybox sh -c 'mknod /v b 254 0 && head -c 512 /v; mknod /m c 1 1 && head -c 512 /m'`,
	"cgroup-parent":              `docker run --rm --cgroup-parent /../../.. busybox cat /proc/self/cgroup`,
	"unconfined":                 `docker run --rm --privileged --security-opt seccomp=unconfined --security-opt apparmor=unconfined busybox sh -c 'unshare -Ur cat /CANARY; mount -t tmpfs none /mnt && mount -o remount,rw /sys && echo rw; echo TOKENBREAK >/proc/sys/kernel/core_pattern; echo b >/proc/sysrq-trigger; hostname TOKENBREAK'`,
	"release_agent of a cgroup":  `docker run --rm --privileged busybox sh -c 'for d in /sys/fs/cgroup/*; do echo /bin/sh >$d/release_agent; done; cat /sys/fs/cgroup/*/release_agent'`,
	"kernel modules and memory":  `docker run --rm --privileged busybox sh -c 'cat /proc/kcore | head -c 64; dmesg | head -3; insmod /nope.ko'`,
	"another runtime":            `docker run --rm --runtime /bin/sh busybox cat /CANARY`,
	"symlink in a bind's source": `ln -sfn / /root/out; docker run --rm -v /root/out:/x busybox cat /x/CANARY; rm /root/out`,
	"docker cp through a link":   `docker create --name out busybox >/dev/null; docker run --name link busybox ln -s / /l; docker cp link:/l/CANARY - | cat; docker rm out link`,
}

// TestDockerReachesNothingOfTheHost asks for the host in every way that Docker has for it.
func TestDockerReachesNothingOfTheHost(t *testing.T) {
	s := newServer(t, dockerEnvironments)
	s.start()
	id := string(s.open("debian").id)
	const token = "of-the-real-host-7d1f"
	dir, err := os.MkdirTemp("/var/tmp", "berth-canary-") //nolint:usetesting // its parents let every user pass
	must(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	must(t, os.Chmod(dir, 0o777))
	canary := filepath.Join(dir, "canary")
	must(t, os.WriteFile(canary, []byte(token), 0o666)) // anybody may: only the wall is in the way
	watched := []string{canary, "/proc/sys/kernel/core_pattern", "/proc/sys/kernel/hostname", filepath.Join(filepath.Dir(s.corner.Images), "admin.token")}
	before := readAll(t, watched)
	// The workspace has a file of that name too, which shows that the probes look where they should.
	const own = "of-the-workspace"
	if made := s.berth(nil, "exec", id, "--", "sh", "-c", "mkdir -p "+dir+"; echo "+own+" >"+canary); made.code != 0 {
		t.Fatalf("%+v", made)
	}
	for name, probe := range hostProbes {
		t.Run(name, func(t *testing.T) {
			script := strings.ReplaceAll(strings.ReplaceAll(probe, "CANARY", strings.TrimPrefix(canary, "/")), "TOKENBREAK", "broken-by-a-visitor")
			got := s.berth(nil, "exec", id, "--", "timeout", "60", "bash", "-c", script)
			if strings.Contains(got.out+got.errs, token) {
				t.Errorf("the host's file was read: %s\n%s", script, got.out)
			}
			if name == "bind of the root" && !strings.Contains(got.out, own) {
				t.Errorf("the workspace's own file is not found: %+v", got)
			}
			for i, text := range readAll(t, watched) {
				if text != before[i] {
					t.Errorf("%s of the host is now %q", watched[i], text)
				}
			}
		})
	}
	if got := s.berth(nil, "exec", id, "--", "docker", "run", "--rm", "busybox", "echo", "lives"); got.out != "lives\n" {
		t.Errorf("the session that tried says %+v", got)
	}
}

func readAll(t *testing.T, paths []string) []string {
	t.Helper()
	all := make([]string, len(paths))
	for i, p := range paths {
		b, err := os.ReadFile(p)
		must(t, err)
		all[i] = string(b)
	}
	return all
}

// TestStraceInAContainer: a tutorial's `docker run --cap-add SYS_PTRACE` has a debugger work, on another container's process too.
func TestStraceInAContainer(t *testing.T) {
	s := newServer(t, dockerEnvironments)
	s.start()
	archive := archived(t, programRoot(t, "strace"))
	id := string(s.open("debian").id)
	docker := func(args ...string) string {
		got := s.berth(nil, append([]string{"docker", id, "--"}, args...)...)
		return got.out + got.errs
	}
	docker("import", archive, "strace")
	if out := docker("run", "--rm", "--cap-add", "SYS_PTRACE", "strace", "/usr/bin/strace", "-f", "-e", "trace=execve", "/usr/bin/strace", "-V"); !strings.Contains(out, `execve("/usr/bin/strace"`) || !strings.Contains(out, "+++ exited with 0 +++") {
		t.Errorf("strace of a program: %s", out)
	}
	docker("run", "-d", "--name", "traced", "busybox", "sh", "-c", "while :; do sleep 0.2; done")
	docker("run", "-d", "--name", "tracer", "--cap-add", "SYS_PTRACE", "--pid", "container:traced", "strace", "/usr/bin/strace", "-f", "-p", "1")
	eventually(t, patience, func() error {
		if log := docker("logs", "tracer"); !strings.Contains(log, "exited with 0") {
			return fmt.Errorf("strace does not see another container's process: %s", log)
		}
		return nil
	})
}
