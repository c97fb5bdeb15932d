package main_test

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"
)

// TestReapsOrphans runs it as the first process of a PID namespace, to which the kernel gives what is orphaned.
func TestReapsOrphans(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: a PID namespace is made")
	}
	for name, args := range map[string][]string{"with a program": {"sleep", "1000"}, "without": nil} {
		t.Run(name, func(t *testing.T) {
			p := start(t, unix.CLONE_NEWPID, args...)
			p.listening(t)
			var own []int // Go itself makes a child for a moment, to try out pidfds
			until(t, "only its program runs", func() bool {
				own = p.children(t)
				return len(own) == min(len(args), 1) && (len(own) == 0 || strings.HasPrefix(status(own[0], "Name"), "sleep"))
			})
			if s := status(p.Process.Pid, "NSpid"); !strings.HasSuffix(s, "\t1") {
				t.Fatalf("it is not the first of its PID namespace: %q", s)
			}
			const orphans = 100
			// nsenter forks into the namespace: the children of its shell are orphaned when the shell ends before them.
			out, err := exec.Command("nsenter", "--pid", "--target", fmt.Sprint(p.Process.Pid), "sh", "-c", fmt.Sprintf(
				"i=0; while [ $i -lt %d ]; do sleep 0.2 >/dev/null 2>&1 & i=$((i+1)); done", orphans)).CombinedOutput()
			if err != nil {
				t.Fatalf("nsenter: %v: %s", err, out)
			}
			if n := len(p.children(t)) - len(own); n < orphans/2 {
				t.Errorf("%d orphans came to docker-init, of %d: too few to prove anything", n, orphans)
			}
			until(t, "all orphans are reaped", func() bool { return len(p.children(t)) == len(own) })
			if len(own) > 0 && !strings.HasPrefix(status(own[0], "State"), "S") {
				t.Errorf("the program is gone: %q", status(own[0], "State"))
			}
			p.signal(t, unix.SIGTERM)
			want := 0
			if args != nil {
				want = 128 + int(unix.SIGTERM)
			}
			if code := p.exit(t); code != want {
				t.Errorf("exit status %d, want %d", code, want)
			}
		})
	}
}

// TestTerminal checks that the program has the foreground of a terminal and the signals that a terminal sends, and that it
// does not inherit what docker-init ignores: job control in it would break.
func TestTerminal(t *testing.T) {
	p := &initProcess{Cmd: exec.Command(program, "sh", "-c", `
		read line
		echo "read:$line"
		grep SigIgn: /proc/self/status
		exec sleep 1000`), ended: make(chan error, 1)}
	ours, theirs, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer ours.Close()
	p.Stdin, p.Stdout, p.Stderr, p.out = theirs, theirs, theirs, bufio.NewReader(ours)
	p.stderr = os.DevNull
	p.SysProcAttr = &unix.SysProcAttr{Setsid: true, Setctty: true, Pdeathsig: unix.SIGKILL}
	p.launch(t)
	defer theirs.Close()
	if _, err := ours.WriteString("hello\n"); err != nil {
		t.Fatal(err)
	}
	p.lines(t, "hello", "read:hello") // the terminal's echo first
	set := strings.TrimSpace(strings.TrimPrefix(p.line(t), "SigIgn:"))
	for _, s := range []unix.Signal{unix.SIGTTIN, unix.SIGTTOU} {
		if ignores(t, set, s) {
			t.Errorf("the program ignores %s: SigIgn %s", unix.SignalName(s), set)
		}
	}
	until(t, "sleep runs", func() bool { return strings.HasPrefix(status(p.child(t), "Name"), "sleep") })
	if _, err := ours.WriteString("\x03"); err != nil {
		t.Fatal(err)
	}
	if code := p.exit(t); code != 128+int(unix.SIGINT) {
		t.Errorf("exit status %d after ctrl-C", code)
	}
}
