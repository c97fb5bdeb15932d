package main_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"

	"berth/client"
	"berth/sessions"
)

const patience = 20 * time.Second

// build builds the command once: these tests are of the whole of it, its exit status and its terminal included.
var build = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "berth-test-")
	if err != nil {
		return "", err
	}
	bin := filepath.Join(dir, "berth")
	out, err := exec.Command("go", "build", "-o", bin, ".").CombinedOutput()
	if err != nil {
		err = fmt.Errorf("build: %w\n%s", err, out)
	}
	return bin, err
})

func TestMain(m *testing.M) {
	code := m.Run()
	if bin, err := build(); err == nil {
		_ = os.RemoveAll(filepath.Dir(bin))
	}
	os.Exit(code)
}

// command is `berth args…` against the server, as root of this host unless token is "-".
func (s *server) command(token string, args ...string) *exec.Cmd {
	s.t.Helper()
	bin, err := build()
	if err != nil {
		s.t.Fatal(err)
	}
	cmd := exec.Command(bin, args...)
	cmd.Env = append(os.Environ(), "BERTH_URL="+s.URL, "BERTH_DATA_DIR="+s.t.TempDir())
	if token != "" {
		cmd.Env = append(cmd.Env, "BERTH_TOKEN="+token)
	}
	return cmd
}

type result struct {
	code        int
	out, errors string
}

func (s *server) run(stdin string, args ...string) result {
	s.t.Helper()
	return s.finish(s.command(adminToken, args...), stdin)
}

func (s *server) finish(cmd *exec.Cmd, stdin string) result {
	s.t.Helper()
	var out, errs bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &out, &errs
	err := cmd.Run()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		s.t.Fatal(err)
	}
	return result{cmd.ProcessState.ExitCode(), out.String(), errs.String()}
}

func TestRunWithACommand(t *testing.T) {
	s := newServer(t,
		sessions.Session{State: sessions.Queued, QueuePosition: 2}, sessions.Session{State: sessions.Queued, QueuePosition: 1},
		sessions.Session{State: sessions.Starting}, sessions.Session{State: sessions.Ready})
	r := s.run("typed", "run", "--lifetime", "20s", "debian", "--", "sh", "-c", "cat; echo no >&2; exit 7")
	if r.code != 7 || r.out != "typed" || !strings.HasSuffix(r.errors, "no\n") {
		t.Fatalf("got %+v", r)
	}
	for _, want := range []string{"number 2 in the queue", "number 1 in the queue", "is starting"} {
		if strings.Count(r.errors, want) != 1 {
			t.Errorf("stderr does not tell once %q: %s", want, r.errors)
		}
	}
	if len(s.endedSessions()) != 1 || s.requests()[0] != "debian 20s" {
		t.Fatalf("created %q, ended %v", s.requests(), s.endedSessions())
	}
	// Without an environment, as a visitor, without input; and with no -- at all.
	if r = s.finish(s.command("", "run", "--", "echo", "-n", "--", "x"), ""); r.code != 0 || r.out != "-- x" {
		t.Fatalf("got %+v", r)
	}
	if r = s.run("", "run", "debian", "echo", "-n", "y"); r.code != 0 || r.out != "y" {
		t.Fatalf("got %+v", r)
	}
	if s.requests()[1] != " " || len(s.endedSessions()) != 3 {
		t.Fatalf("created %q, ended %v", s.requests(), s.endedSessions())
	}
}

func TestRunThatCannot(t *testing.T) {
	s := newServer(t, sessions.Session{State: sessions.Queued, QueuePosition: 1},
		sessions.Session{State: sessions.Ended, Reason: sessions.Crashed, Message: "The machine did not start. Try again."})
	if r := s.run("", "run", "nowhere", "--", "true"); r.code != 1 || !strings.Contains(r.errors, "There is no such environment.") {
		t.Fatalf("got %+v", r)
	}
	if r := s.run("", "run", "--", "true"); r.code != 1 || !strings.Contains(r.errors, "did not start. Try again.") {
		t.Fatalf("got %+v", r)
	}
	s = newServer(t)
	if r := s.run("", "run", "--", "no-such-program"); r.code != 127 || !strings.Contains(r.errors, "no-such-program") {
		t.Fatalf("got %+v", r)
	}
	if len(s.endedSessions()) != 1 {
		t.Fatalf("ended %v", s.endedSessions())
	}
	s.Close()
	if r := s.run("", "ls"); r.code != 1 || !strings.Contains(r.errors, "is `berth serve` running") {
		t.Fatalf("got %+v", r)
	}
}

func TestInterruptBeforeReadyEndsTheSession(t *testing.T) {
	for _, sig := range []os.Signal{unix.SIGINT, unix.SIGTERM} {
		s := newServer(t, sessions.Session{State: sessions.Queued, QueuePosition: 9})
		cmd := s.command(adminToken, "run")
		told, err := cmd.StderrPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, 200)
		n, _ := told.Read(buf)
		if !strings.Contains(string(buf[:n]), "number 9 in the queue") {
			t.Errorf("told %q", buf[:n])
		}
		_ = cmd.Process.Signal(sig)
		_ = cmd.Wait()
		if code := cmd.ProcessState.ExitCode(); code != 130 || len(s.endedSessions()) != 1 {
			t.Fatalf("%s: exit status %d, ended %v", sig, code, s.endedSessions())
		}
	}
}

func TestExec(t *testing.T) {
	s := newServer(t)
	id := string(s.addReady())
	if r := s.run("unread", "exec", "-e", "A=b,c", "-w", "/usr", id, "--", "sh", "-c", `echo "$A" $(pwd); cat; exit 3`); r.code != 3 || r.out != "b,c /usr\n" {
		t.Fatalf("without -i: got %+v", r)
	}
	if r := s.run("read", "exec", "-i", id, "cat"); r.code != 0 || r.out != "read" {
		t.Fatalf("with -i: got %+v", r)
	}
	if r := s.run("ab\n", "exec", "-it", id, "--", "sh", "-c", `test -t 0 && test -t 1 && read x && echo "got $x"`); r.code != 0 || !strings.Contains(r.out, "got ab\r\n") {
		t.Fatalf("with -it: got %+v", r)
	}
	if r := s.run("", "exec", "aaaaaaaaaaaa", "--", "true"); r.code != 1 || !strings.Contains(r.errors, "There is no such session, or it is not yours.") {
		t.Fatalf("unknown session: got %+v", r)
	}
	if r := s.finish(s.command("wrong", "exec", id, "--", "true"), ""); r.code != 1 || !strings.Contains(r.errors, "not yours") {
		t.Fatalf("wrong token: got %+v", r)
	}
	if r := s.run("", "exec", id); r.code != 1 || !strings.Contains(r.errors, "no command") {
		t.Fatalf("no command: got %+v", r)
	}
}

func TestLsAndRm(t *testing.T) {
	s := newServer(t)
	a, b := s.addReady(), s.addReady()
	r := s.run("", "ls")
	want := regexp.MustCompile(`^ID +ENVIRONMENT +STATE +ENDS IN\n([a-z2-7]{12} +debian +ready +(10m0s|9m5\ds)\n){2}$`)
	if r.code != 0 || !want.MatchString(r.out) {
		t.Fatalf("got %+v", r)
	}
	var all []client.Session
	if r = s.run("", "ls", "--json"); json.Unmarshal([]byte(r.out), &all) != nil || len(all) != 2 || all[0].State != sessions.Ready {
		t.Fatalf("got %+v", r)
	}
	if r = s.run("", "rm", string(a), "aaaaaaaaaaaa", string(b)); r.code != 1 || r.out != fmt.Sprintf("%s\n%s\n", a, b) || !strings.Contains(r.errors, "aaaaaaaaaaaa") {
		t.Fatalf("got %+v", r)
	}
	if r = s.run("", "ls"); strings.Count(r.out, "\n") != 1 {
		t.Fatalf("got %+v", r)
	}
}

func TestRootsTokenIsReadFromTheDataDirectory(t *testing.T) {
	s := newServer(t)
	s.addReady()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "admin.token"), []byte(adminToken+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if r := s.finish(s.command("", "ls", "--data-dir", dir), ""); strings.Count(r.out, "\n") != 2 {
		t.Fatalf("got %+v", r)
	}
	if r := s.finish(s.command("", "ls"), ""); strings.Count(r.out, "\n") != 1 {
		t.Fatalf("without the file: got %+v", r)
	}
}

// desk starts a command on a terminal of its own.
type desk struct {
	t      *testing.T
	master *os.File
	cmd    *exec.Cmd
	seen   string
}

func (s *server) sit(args ...string) *desk {
	s.t.Helper()
	cmd := s.command(adminToken, args...)
	master, err := pty.StartWithSize(cmd, &pty.Winsize{Cols: 93, Rows: 29})
	if err != nil {
		s.t.Fatal(err)
	}
	_ = unix.SetNonblock(int(master.Fd()), true)
	_ = master.SetReadDeadline(time.Now().Add(patience))
	d := &desk{t: s.t, master: master, cmd: cmd}
	s.t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = master.Close()
	})
	return d
}

func (d *desk) see(text string) {
	d.t.Helper()
	buf := make([]byte, 4096)
	for !strings.Contains(d.seen, text) {
		n, err := d.master.Read(buf)
		if err != nil {
			d.t.Fatalf("%v; the screen shows %q, not %q", err, d.seen, text)
		}
		d.seen += string(buf[:n])
	}
}

func (d *desk) press(keys string) {
	d.t.Helper()
	if _, err := io.WriteString(d.master, keys); err != nil {
		d.t.Fatal(err)
	}
}

// leave waits for the end and returns the exit status.
func (d *desk) leave() int {
	d.t.Helper()
	rest, err := io.ReadAll(d.master) // until EIO
	d.seen += string(rest)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		d.t.Fatalf("it does not end; the screen shows %.2000q", d.seen)
	}
	_ = d.cmd.Wait()
	return d.cmd.ProcessState.ExitCode()
}

func TestRunAttachesAShell(t *testing.T) {
	s := newServer(t)
	d := s.sit("run", "debian")
	d.see("$ ")
	d.press("stty size\r")
	d.see("29 93")
	d.press("exit 5\r")
	if code := d.leave(); code != 5 || len(s.endedSessions()) != 1 {
		t.Fatalf("exit status %d, ended %v, screen %q", code, s.endedSessions(), d.seen)
	}
}

func TestDetachAndAttachAgain(t *testing.T) {
	s := newServer(t)
	d := s.sit("run")
	d.see("$ ")
	d.press("X=remembered\r")
	d.see("X=remembered\r\n$ ")
	d.press("\x10\x11")
	d.see("runs on")
	if code := d.leave(); code != 0 || len(s.endedSessions()) != 0 {
		t.Fatalf("exit status %d, ended %v", code, s.endedSessions())
	}
	again := regexp.MustCompile(`berth (attach [a-z2-7]{12})`).FindStringSubmatch(d.seen)
	if again == nil {
		t.Fatalf("it does not say how to come back: %q", d.seen)
	}
	d = s.sit(strings.Fields(again[1])...)
	d.see("X=remembered")
	d.press("echo =$X=\r")
	d.see("=remembered=")
	d.press("exit\r")
	if code := d.leave(); code != 0 {
		t.Fatalf("exit status %d", code)
	}
	d = s.sit("attach", strings.Fields(again[1])[1], "--terminal", "other")
	d.see("$ ")
	d.press("kill -9 $$\r")
	if code := d.leave(); code != 137 {
		t.Fatalf("exit status %d", code)
	}
}

func TestRunACommandOnATerminal(t *testing.T) {
	s := newServer(t)
	d := s.sit("run", "--", "sh", "-c", "stty size; read x; exit $x")
	d.see("29 93")
	d.press("6\r")
	if code := d.leave(); code != 6 || len(s.endedSessions()) != 1 {
		t.Fatalf("exit status %d, ended %v", code, s.endedSessions())
	}
}

func TestSessionThatEndsSaysWhy(t *testing.T) {
	s := newServer(t)
	id := s.addReady()
	attached, ran := s.sit("attach", string(id)), s.sit("exec", "-t", string(id), "--", "sh", "-c", "echo up; sleep 60")
	attached.see("$ ")
	ran.see("up")
	s.expire(id)
	for _, d := range []*desk{attached, ran} {
		if code := d.leave(); code != 1 || !strings.Contains(d.seen, "The session's time was up.") {
			t.Errorf("exit status %d, screen %q", code, d.seen)
		}
	}
}
