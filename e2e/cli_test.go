package e2e_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os/exec"
	"strings"
	"testing"

	"github.com/creack/pty"

	"berth/client"
	"berth/sessions"
)

// result is how a command ended.
type result struct {
	code      int
	out, errs string
}

// berth runs the command line against the server.
func (s *server) berth(stdin io.Reader, args ...string) result {
	s.t.Helper()
	var out, errs bytes.Buffer
	cmd := s.command(args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, &out, &errs
	err := cmd.Run()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		s.t.Fatal(err)
	}
	return result{cmd.ProcessState.ExitCode(), out.String(), errs.String()}
}

func TestRunACommand(t *testing.T) {
	s := serve(t)
	if got := s.berth(nil, "run", "debian", "--", "sh", "-c", "nproc; id -u; echo hi; exit 7"); got.code != 7 || got.out != "1\n0\nhi\n" {
		t.Errorf("got %+v; want the quota's CPU, 0, hi, and exit 7", got)
	}
	if got := s.berth(nil, "run", "--", "cat", "/etc/os-release"); got.code != 0 || !strings.Contains(got.out, "ID=debian") {
		t.Errorf("the first environment: got %+v", got)
	}
	if got := s.berth(nil, "run", "plan9"); got.code != 1 || !strings.Contains(got.errs, `no environment "plan9"`) {
		t.Errorf("an environment that is not there: got %+v", got)
	}
	s.wantNothingLeft()
}

// What a session's page warns of, `berth run` does on its error output.
func TestRunWarns(t *testing.T) {
	s := serve(t)
	got := s.berth(nil, "run", "--lifetime", "8s", "debian", "--", "sh", "-c", "echo begun; sleep 60")
	if warned := strings.Index(got.errs, "berth: This session ends in 2 seconds"); got.out != "begun\n" || warned < 0 ||
		warned > strings.Index(got.errs, "The time of this session was up") || strings.Count(got.errs, "berth: ") != 2 {
		t.Errorf("got %+v", got)
	}
	s.wantNothingLeft()
}

func TestExec(t *testing.T) {
	s := serve(t)
	box := s.open("debian")
	id := string(box.id)
	for _, test := range []struct {
		name, stdin string
		args        []string
		want        result
	}{
		{"stdin", "x\n", []string{"-i", id, "--", "cat"}, result{0, "x\n", ""}},
		{"no stdin", "x\n", []string{id, "--", "cat"}, result{0, "", ""}},
		{"both outputs", "", []string{id, "--", "sh", "-c", "echo out; echo err >&2; exit 3"}, result{3, "out\n", "err\n"}},
		{"environment and directory", "", []string{"-e", "A=b c", "-w", "/tmp", id, "--", "sh", "-c", "echo $A; pwd"}, result{0, "b c\n/tmp\n", ""}},
		{"user", "", []string{"-u", "nobody", id, "--", "id", "-un"}, result{0, "nobody\n", ""}},
		{"signal", "", []string{id, "--", "sh", "-c", "kill -TERM $$"}, result{143, "", ""}},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := s.berth(strings.NewReader(test.stdin), append([]string{"exec"}, test.args...)...); got != test.want {
				t.Errorf("got %+v, want %+v", got, test.want)
			}
		})
	}
	for program, code := range map[string]int{"/no/such": 127, "/etc/passwd": 126, "/tmp": 126} {
		got := s.berth(nil, "exec", id, "--", program)
		if got.code != code || got.out != "" || !strings.Contains(got.errs, program) {
			t.Errorf("%s: got %+v, want exit %d and a message with its name", program, got, code)
		}
	}
}

// TestManyBytes carries 50 MB in each direction.
func TestManyBytes(t *testing.T) {
	s := serve(t)
	box := s.open("debian")
	data := make([]byte, 50<<20)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(data) // never fails
	want := fmt.Sprintf("%x", sha256.Sum256(data))
	if got := s.berth(bytes.NewReader(data), "exec", "-i", string(box.id), "--", "sha256sum"); got.out != want+"  -\n" {
		t.Errorf("inwards: got %+v, want %s", got, want)
	}
	back := s.berth(bytes.NewReader(data), "exec", "-i", string(box.id), "--", "cat")
	if back.code != 0 || back.out != string(data) {
		t.Errorf("there and back: exit %d, %d bytes of %d, sha256 %x, want %s; %s",
			back.code, len(back.out), len(data), sha256.Sum256([]byte(back.out)), want, back.errs)
	}
}

func TestListAndRemove(t *testing.T) {
	s := serve(t)
	a, b := s.open("debian"), s.open("busybox")
	var list []client.Session
	if got := s.berth(nil, "ls", "--json"); json.Unmarshal([]byte(got.out), &list) != nil || len(list) != 2 {
		t.Fatalf("ls --json: %+v", got)
	}
	for _, l := range list {
		if l.State != sessions.Ready || l.ID != a.id && l.ID != b.id || l.Limits.MemoryBytes == 0 || l.ExpiresAt.IsZero() {
			t.Errorf("ls --json tells %+v", l)
		}
	}
	if got := s.berth(nil, "rm", string(a.id), string(b.id)); got.code != 0 || got.out != fmt.Sprintf("%s\n%s\n", a.id, b.id) {
		t.Errorf("rm: %+v", got)
	}
	if got := s.berth(nil, "rm", "aaaaaaaaaaaa"); got.code != 1 || !strings.Contains(got.errs, "no such session") {
		t.Errorf("rm of nothing: %+v", got)
	}
	s.wantNothingLeft()
	if got := s.berth(nil, "exec", string(a.id), "--", "true"); got.code != 1 || !strings.Contains(got.errs, "ended") {
		t.Errorf("exec in a session that has ended: %+v", got)
	}
}

// TestAttach works in a session from a terminal, whose size changes.
func TestAttach(t *testing.T) {
	s := serve(t)
	box := s.open("debian")
	cmd := s.command("attach", string(box.id))
	tty, err := pty.StartWithSize(cmd, &pty.Winsize{Cols: 91, Rows: 31})
	must(t, err)
	seen := newReader(t, tty)
	seen.until(t, "# ")
	_, err = io.WriteString(tty, "stty size; echo mark-$((40+2))\n")
	must(t, err)
	seen.until(t, "31 91\r\n")
	must(t, pty.Setsize(tty, &pty.Winsize{Cols: 123, Rows: 45}))
	eventually(t, patience, func() error { // the resize is on its way
		if got := box.sh("stty size < /dev/pts/0").Stdout; got != "45 123\n" {
			return fmt.Errorf("size %q", got)
		}
		return nil
	})
	_, err = io.WriteString(tty, "stty size; exit 5\n")
	must(t, err)
	seen.until(t, "45 123\r\n")
	if err := cmd.Wait(); cmd.ProcessState.ExitCode() != 5 {
		t.Errorf("attach ended with %v, want the shell's status 5", err)
	}
}
