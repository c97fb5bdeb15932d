package e2e_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestDockerOverARestartOfTheServer kills the server while a visitor's docker commands run: they do not notice.
func TestDockerOverARestartOfTheServer(t *testing.T) {
	s := newServer(t, dockerEnvironments, "--on-exit=keep")
	s.start()
	id := string(s.open("debian").id)
	const numbers = 60
	began := s.berth(nil, "exec", id, "--", "bash", "-c", fmt.Sprintf(`cd /tmp
		docker run -d --name logged busybox sh -c 'for i in $(seq %[1]d); do echo $i; sleep 0.1; done' >/dev/null
		nohup bash -c 'docker logs -f logged >logs; echo $? >logs.status' >/dev/null 2>&1 &
		nohup bash -c 'docker run --rm busybox sh -c "for i in \$(seq %[1]d); do echo \$i; sleep 0.1; done" >run; echo $? >run.status' >/dev/null 2>&1 &
		nohup bash -c 'docker events --filter container=logged --filter event=die >event & docker wait logged >wait; sleep 0.5; kill $!' >/dev/null 2>&1 &
		until [ -s logs ] && [ -s run ]; do sleep 0.05; done`, numbers))
	if began.code != 0 {
		t.Fatalf("%+v", began)
	}
	for range 2 {
		s.kill()
		s.start()
	}
	var all strings.Builder
	for i := range numbers {
		fmt.Fprintln(&all, i+1)
	}
	eventually(t, patience, func() error {
		if got := s.berth(nil, "exec", id, "--", "cat", "/tmp/logs.status", "/tmp/run.status", "/tmp/wait"); got.out != "0\n0\n0\n" {
			return errors.New("not ended: " + got.out + got.errs)
		}
		return nil
	})
	for _, file := range []string{"logs", "run"} {
		if got := s.berth(nil, "exec", id, "--", "cat", "/tmp/"+file); got.out != all.String() {
			t.Errorf("%s: %q", file, got.out)
		}
	}
	if got := s.berth(nil, "exec", id, "--", "cat", "/tmp/event"); !strings.Contains(got.out, "container die") {
		t.Errorf("events: %q", got.out)
	}
	if err := s.end(unix.SIGTERM); err != nil {
		t.Error(err)
	}
}

// TestDockerLeavesNothing runs and removes containers, and counts what the sandbox holds before and after.
func TestDockerLeavesNothing(t *testing.T) {
	s := newServer(t, dockerEnvironments)
	s.start()
	id := string(s.open("debian").id)
	const count = `for i in $(seq %d); do docker run --rm -v /anon -p 80 busybox echo hi || exit; done | sort | uniq -c | xargs
		sleep 0.5; grep -c . /proc/self/mountinfo; ip -o link | wc -l; find /sys/fs/cgroup -type d | wc -l; docker ps -aq | wc -l; docker volume ls -q | wc -l
		docker info --format '{{.NGoroutines}}'`
	first := s.berth(nil, "exec", id, "--", "bash", "-c", fmt.Sprintf(count, 5))
	const cycles = 1000
	second := s.berth(nil, "exec", id, "--", "bash", "-c", fmt.Sprintf(count, cycles))
	before, after := strings.Fields(first.out), strings.Fields(second.out)
	if len(before) != 8 || len(after) != 8 {
		t.Fatalf("%+v\n%+v", first, second)
	}
	if after[0] != fmt.Sprint(cycles) || after[1] != "hi" {
		t.Errorf("%d runs printed %s × %s", cycles, after[0], after[1])
	}
	for i, what := range []string{"mounts", "interfaces", "control groups", "containers", "volumes"} {
		if before[2+i] != after[2+i] {
			t.Errorf("%s: %s before, %s after", what, before[2+i], after[2+i])
		}
	}
	var goroutines [2]int
	for i, f := range []string{before[7], after[7]} {
		if _, err := fmt.Sscan(f, &goroutines[i]); err != nil {
			t.Fatal(err)
		}
	}
	if goroutines[1] > goroutines[0]+5 { // connections that are just ending
		t.Errorf("goroutines: %d before, %d after", goroutines[0], goroutines[1])
	}
}
