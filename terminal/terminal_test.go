package terminal_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"berth/terminal"
	"berth/terminal/terminaltest"
)

func TestShortOutputIsNeverLost(t *testing.T) {
	_, url := serve(t, terminaltest.Shell(`printf 'all of it'; exit 7`), terminal.Options{MaxTerminals: 100})
	for i := range 50 {
		s := dial(t, url+fmt.Sprint(i), terminal.ClientOptions{})
		exit := s.await(terminal.Exited)
		if s.output.String() != "all of it" || exit.Code != 7 || exit.Signal != "" {
			t.Fatalf("run %d: got %q and exit %+v", i, s.output.String(), exit)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestLongOutputIsCompleteBeforeExit(t *testing.T) {
	_, url := serve(t, terminaltest.Shell(`stty -opost; seq 1 200000; exit 3`), terminal.Options{})
	s := dial(t, url+"1", terminal.ClientOptions{})
	exit := s.await(terminal.Exited)
	var want strings.Builder
	for i := range 200000 {
		fmt.Fprintln(&want, i+1)
	}
	if s.output.String() != want.String() || exit.Code != 3 {
		t.Fatalf("got %d bytes, exit %d, want %d bytes, exit 3", s.output.Len(), exit.Code, want.Len())
	}
}

func TestBackgroundProcessDoesNotHoldTheTerminal(t *testing.T) {
	set, url := serve(t, terminaltest.Shell(`trap '' HUP; (sleep 30) & printf done; exit 1`), terminal.Options{})
	s := dial(t, url+"1", terminal.ClientOptions{})
	s.await(terminal.Exited)
	if s.output.String() != "done" {
		t.Fatalf("got %q", s.output.String())
	}
	if info := set.List()[0]; info.Running || info.ExitCode != 1 {
		t.Fatalf("got %+v", info)
	}
}

func TestFirstSizeIsThereBeforeTheProgram(t *testing.T) {
	_, url := serve(t, terminaltest.Shell(`stty size`), terminal.Options{MaxTerminals: 50})
	for i := range 20 {
		s := dial(t, url+fmt.Sprint(i), terminal.ClientOptions{Size: terminal.Size{Cols: 101, Rows: 33}})
		s.until("33 101")
	}
}

func TestSizeOfTheLastToResizeOrType(t *testing.T) {
	set, url := serve(t, terminaltest.Command("sh"), terminal.Options{})
	if _, err := set.Open(context.Background(), "1", terminal.Size{}); err != nil {
		t.Fatal(err)
	}
	a := dial(t, url+"1", terminal.ClientOptions{Size: terminal.Size{Cols: 90, Rows: 30}})
	a.typeText("stty size\n")
	a.until("30 90")
	b := dial(t, url+"1", terminal.ClientOptions{Size: terminal.Size{Cols: 70, Rows: 20}})
	a.awaitSize(terminal.Size{Cols: 70, Rows: 20})
	a.typeText("stty size\n") // who types is who looks
	b.awaitSize(terminal.Size{Cols: 90, Rows: 30})
	if err := b.Resize(terminal.Size{Cols: 71, Rows: 21}); err != nil {
		t.Fatal(err)
	}
	a.awaitSize(terminal.Size{Cols: 71, Rows: 21})
	b.typeText("stty size\n")
	b.until("21 71")
}

func TestRestartGoesOnInTheSameRing(t *testing.T) {
	set, url := serve(t, terminaltest.Shell(`echo hello; read x; echo "got $x"; exit 4`), terminal.Options{})
	s := dial(t, url+"1", terminal.ClientOptions{})
	s.until("hello")
	s.typeText("one\n")
	if exit := s.await(terminal.Exited); exit.Code != 4 {
		t.Fatalf("exit %+v", exit)
	}
	before := s.output.Len()
	s.typeText("to nobody\n")
	if err := s.Flush(s.ctx); err != nil {
		t.Fatal(err)
	}
	s.Restart()
	s.await(terminal.Started)
	s.typeText("two\n")
	s.await(terminal.Exited)
	if again := s.output.String()[before:]; !strings.Contains(again, "got two") || strings.Contains(again, "nobody") {
		t.Fatalf("second run wrote %q", again)
	}
	late := dial(t, url+"1", terminal.ClientOptions{})
	late.await(terminal.Exited)
	if late.output.String() != s.output.String() || late.status[0].Running || late.status[0].From != 0 {
		t.Fatalf("a late viewer sees %q, %+v", late.output.String(), late.status)
	}
	if n := len(set.List()); n != 1 {
		t.Fatalf("%d terminals", n)
	}
}

func TestTitleFollowsTheProgram(t *testing.T) {
	set, url := serve(t, terminaltest.Shell(`printf '\033]0;one\007\033]2;\303\251t\303\251 <b>\033\\ready'; read x`), terminal.Options{})
	dial(t, url+"1", terminal.ClientOptions{}).until("ready")
	if got := set.List()[0].Title; got != "été <b>" {
		t.Fatalf("title %q", got)
	}
}

func TestStartThatFails(t *testing.T) {
	broken := func(context.Context, string, terminal.Size) (terminal.Process, error) {
		return nil, errors.New("no shell in this image")
	}
	set, url := serve(t, broken, terminal.Options{})
	if _, err := set.Open(context.Background(), "1", terminal.Size{}); err == nil || !strings.Contains(err.Error(), "no shell") {
		t.Fatalf("open: %v", err)
	}
	s := dial(t, url+"1", terminal.ClientOptions{})
	if told := s.await(terminal.Failed); !strings.Contains(told.Message, "no shell in this image") {
		t.Fatalf("told %+v", told)
	}
	if _, err := s.Next(s.ctx); err == nil || errors.Is(err, io.EOF) {
		t.Fatalf("the connection goes on: %v", err)
	}
	if n := len(set.List()); n != 0 {
		t.Fatalf("%d terminals are left", n)
	}
}

func TestListAndDelete(t *testing.T) {
	_, url := serve(t, terminaltest.Command("cat"), terminal.Options{MaxTerminals: 3})
	s := dial(t, url+"b", terminal.ClientOptions{})
	dial(t, url+"10", terminal.ClientOptions{}).await(terminal.Hello)
	dial(t, url+"2", terminal.ClientOptions{}).await(terminal.Hello)
	_, err := terminal.Dial(context.Background(), url+"one-more", terminal.ClientOptions{})
	if refused := (*terminal.RefusedError)(nil); !errors.As(err, &refused) || refused.Status != http.StatusConflict {
		t.Fatalf("a fourth terminal: %v", err)
	}
	var infos []terminal.Info
	getJSON(t, strings.TrimSuffix(url, "/"), &infos)
	if len(infos) != 3 || infos[0].Name != "2" || infos[1].Name != "b" || infos[2].Name != "10" || infos[1].Viewers != 1 {
		t.Fatalf("got %+v", infos)
	}
	if status := do(t, http.MethodDelete, url+"b"); status != http.StatusNoContent {
		t.Fatalf("delete: %d", status)
	}
	for err = nil; err == nil; {
		_, err = s.Next(s.ctx)
	}
	if !strings.Contains(err.Error(), "deleted") {
		t.Fatalf("the viewer was told %v", err)
	}
	if status := do(t, http.MethodDelete, url+"b"); status != http.StatusNotFound {
		t.Fatalf("delete again: %d", status)
	}
	dial(t, url+"b", terminal.ClientOptions{}).await(terminal.Hello)
}

func do(t testing.TB, method, url string) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	_, _ = io.Copy(io.Discard, answer.Body)
	return answer.StatusCode
}

func getJSON(t testing.TB, url string, v any) {
	t.Helper()
	answer, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	if err := json.NewDecoder(answer.Body).Decode(v); err != nil {
		t.Fatal(err)
	}
}

// A terminal may have a program of its own, which a restart starts again.
func TestTerminalWithItsOwnProgram(t *testing.T) {
	set, url := serve(t, terminaltest.Shell("printf ordinary; cat"), terminal.Options{})
	own := terminaltest.Shell("printf special; read x")
	for range 2 { // the second finds it
		if _, err := set.OpenWith(t.Context(), "own", terminal.Size{}, own); err != nil {
			t.Fatal(err)
		}
	}
	s := dial(t, url+"own", terminal.ClientOptions{})
	s.until("special")
	s.typeText("\n")
	s.await(terminal.Exited)
	s.output.Reset()
	s.Restart()
	s.until("special")
	other := dial(t, url+"other", terminal.ClientOptions{})
	other.until("ordinary")
	if n := len(set.List()); n != 2 {
		t.Errorf("%d terminals", n)
	}
}
