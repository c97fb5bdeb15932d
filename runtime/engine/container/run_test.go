package container_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestRun is `docker run` with what people give it.
func TestRun(t *testing.T) {
	b := newBox(t)
	for _, c := range []struct {
		args string // of docker run --rm; a last argument with blanks stands after |
		want string // what is printed; … stands for anything
		code int
	}{
		{args: "busybox echo hi", want: "hi"},
		{args: "busybox sh -c|exit 7", code: 7},
		{args: "--init busybox sh -c|kill -9 $$", code: 137},
		{args: "busybox nosuch", want: `docker: Error response from daemon: failed to create task for container: failed to create shim task: OCI runtime create failed: runc create failed: unable to start container process: error during container init: exec: "nosuch": executable file not found in $PATH: unknown…`, code: 127},
		{args: "busybox /etc", want: "…permission denied…", code: 126},
		{args: "--user nosuch busybox true", want: "…unable to find user nosuch: no matching entries in passwd file…", code: 125},
		{args: "--entrypoint /bin/echo busybox a b", want: "a b"},
		{args: "-e A=1 -e HOME busybox sh -c|echo $A", want: "1"},
		{args: "-w /new/dir busybox pwd", want: "/new/dir"},
		{args: "--hostname name busybox hostname", want: "name"},
		{args: "--user 1000:7 --group-add 9 busybox sh -c|id -u; id -g; id -G", want: "1000\n7\n7 9"},
		{args: "--read-only busybox touch /x", want: "…Read-only file system", code: 1},
		{args: "--tmpfs /t:size=1m busybox sh -c|df -k /t | tail -1 | cut -c 1-34", want: "tmpfs                     1024…"},
		{args: "--shm-size 2m busybox sh -c|df -k /dev/shm | tail -1 | cut -c 1-34", want: "shm                       2048…"},
		{args: "--ulimit nofile=100:200 busybox sh -c|ulimit -Sn; ulimit -Hn", want: "100\n200"},
		{args: "--init busybox sh -c|cat /proc/1/comm", want: "docker-init"},
		{args: "--pid host busybox cat /proc/1/comm", want: "docker-init"},
		{args: "--uts host busybox hostname", want: "busybox"},
		{args: "--network host busybox hostname", want: "busybox"},
		{args: "--cap-drop ALL busybox grep CapEff /proc/self/status", want: "CapEff:\t0000000000000000"},
		{args: "--cap-add SYS_PTRACE busybox grep CapEff /proc/self/status", want: "CapEff:\t00000000a80c25fb"},
		{args: "--security-opt no-new-privileges busybox grep NoNewPrivs /proc/self/status", want: "NoNewPrivs:\t1"},
		{args: "--privileged busybox sh -c|mkdir /m && mount -t tmpfs x /m && echo mounted", want: "mounted"},
		{args: "--sysctl net.ipv4.ip_forward=0 busybox cat /proc/sys/net/ipv4/ip_forward", want: "0"},
		{args: "--pids-limit 10 busybox sh -c|cat /sys/fs/cgroup/pids/pids.max /sys/fs/cgroup/pids.max 2>/dev/null", want: "10", code: 1},
		{args: "--cpus 99 busybox true", want: "…range of CPUs is from 0.01 to…", code: 125},
		{args: "--memory 1m busybox true", want: "…Minimum memory limit allowed is 6MB…", code: 125},
		{args: "--device /dev/nosuch busybox true", want: `…error gathering device information while adding custom device "/dev/nosuch": no such file or directory…`, code: 127},
		{args: "-v rel/x:/x busybox true", want: "…includes invalid characters for a local volume name…", code: 125},
		{args: "-v /made/by/it:/x:ro busybox touch /x/y", want: "…Read-only file system", code: 1},
		{args: "-v /made:/x busybox ls /x/by", want: "it"},
		{args: "-v /etc/hostname:/x busybox cat /x", want: "busybox"},
		{args: "-v /:/host busybox ls /host/made", want: "by"},
		{args: "--mount type=bind,src=/nosuch,dst=/x busybox true", want: "…bind source path does not exist: /nosuch…", code: 125},
		{args: "--mount type=tmpfs,dst=/x,tmpfs-mode=700 busybox stat -c %a /x", want: "700"},
		{args: "--mount type=volume,dst=/etc busybox ls /etc/passwd", want: "/etc/passwd"},
		{args: "-v /var/run/docker.sock:/s busybox stat -c %F /s", want: "socket"},
		{args: "--security-opt nonsense=1 busybox true", want: `…invalid --security-opt 2: "nonsense=1"…`, code: 125},
		{args: "--volumes-from nosuch busybox true", want: "docker: Error response from daemon: No such container: nosuch…", code: 125},
		{args: "--pid container:nosuch busybox true", want: "docker: Error response from daemon: No such container: nosuch…", code: 125},
		{args: "--gpus all busybox true", want: "…could not select device driver…", code: 125},
		{args: "--runtime nosuch busybox true", want: "…unknown or invalid runtime name: nosuch…", code: 125},
		{args: "--storage-opt size=1G busybox true", want: "…HostConfig.StorageOpt is not supported…", code: 125},
	} {
		t.Run(c.args, func(t *testing.T) {
			words, last, _ := strings.Cut(c.args, "|")
			args := append([]string{"run", "--rm"}, strings.Fields(words)...)
			if last != "" {
				args = append(args, last)
			}
			got := b.docker(args...)
			if all := strings.TrimSpace(got.out + got.errs); got.code != c.code || !matches(all, c.want) {
				t.Errorf("%v\nwant code %d, %s", got, c.code, c.want)
			}
		})
	}
	if left := b.must("ps", "-aq"); left != "" {
		t.Errorf("--rm has left %s", left)
	}
	if left := b.must("volume", "ls", "-q"); left != "" {
		t.Errorf("--rm has left volumes %s", left)
	}
}

// matches compares text with what is wanted, in which … stands for anything.
func matches(got, want string) bool {
	parts := strings.Split(want, "…")
	if len(parts) == 1 {
		return got == want
	}
	if !strings.HasPrefix(got, parts[0]) || !strings.HasSuffix(got, parts[len(parts)-1]) {
		return false
	}
	for _, p := range parts {
		i := strings.Index(got, p)
		if i < 0 {
			return false
		}
		got = got[i+len(p):]
	}
	return true
}

// TestRunLeavesNothing: what a container had of the kernel is given back, also where it did not start.
func TestRunLeavesNothing(t *testing.T) {
	b := newBox(t)
	b.must("run", "--rm", "busybox", "true")
	before := b.holdings()
	for range 20 {
		b.must("run", "--rm", "-v", "/data", "--tmpfs", "/t", "busybox", "true")
	}
	b.must("run", "--rm", "--ipc", "shareable", "--cgroup-parent", "/a/b", "busybox", "true")
	for _, args := range [][]string{{"nosuch"}, {"/etc"}} {
		if r := b.docker(append([]string{"run", "--rm", "busybox"}, args...)...); r.code == 0 {
			t.Errorf("%q ran: %v", args, r)
		}
	}
	b.settled(before)
}

// TestStartsInParallel: twenty at once, and as many ends.
func TestStartsInParallel(t *testing.T) {
	b := newBox(t)
	b.must("run", "--rm", "busybox", "true")
	before := b.holdings()
	var all sync.WaitGroup
	for i := range 20 {
		all.Go(func() { b.docker("run", "-d", "--name", fmt.Sprintf("many-%d", i), "busybox", "sleep", "1000") })
	}
	all.Wait()
	if n := len(strings.Fields(b.must("ps", "-q"))); n != 20 {
		t.Errorf("%d run", n)
	}
	b.must(append([]string{"rm", "-f"}, strings.Fields(b.must("ps", "-q"))...)...)
	b.settled(before)
}

// TestKilledRunc: whenever runc is killed, the engine goes on, and what was half started is gone.
func TestKilledRunc(t *testing.T) {
	b := newBox(t)
	b.must("run", "--rm", "busybox", "true")
	before := b.holdings()
	stop := make(chan struct{})
	var killer sync.WaitGroup
	kills := 0
	killer.Go(func() {
		tick := time.NewTicker(7 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-stop:
				return
			case <-tick.C:
				kills += b.killRunc()
			}
		}
	})
	for range 30 {
		b.docker("run", "--rm", "busybox", "true")
	}
	close(stop)
	killer.Wait()
	if kills == 0 {
		t.Error("no runc was killed: the test tests nothing")
	}
	if got := b.must("run", "--rm", "busybox", "echo", "well"); got != "well" {
		t.Errorf("got %q", got)
	}
	b.settled(before)
}

// killRunc kills the engine's runc processes, and returns how many there were.
func (b *box) killRunc() (killed int) {
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		b.t.Error(err)
	}
	for _, path := range stats {
		raw, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended
		}
		head, tail, ok := strings.Cut(string(raw), ") ")
		f := strings.Fields(tail)
		if !ok || len(f) < 2 || f[1] != strconv.Itoa(b.pid) || !strings.HasSuffix(head, "(runc") {
			continue
		}
		pid, err := strconv.Atoi(strings.Fields(head)[0])
		if err == nil && unix.Kill(pid, unix.SIGKILL) == nil {
			killed++
		}
	}
	return killed
}
