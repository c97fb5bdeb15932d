package e2e_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"berth/sessions"
)

// machine is the files of a session's machine.
type machine struct {
	t   *testing.T
	dir string
}

func (s *site) machine(t *testing.T, id sessions.ID) machine { return machine{t, s.Sandbox(id).Dir()} }

func (m machine) put(name, content string) {
	m.t.Helper()
	p := filepath.Join(m.dir, name)
	if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
		m.t.Fatal(err)
	}
	if err := os.WriteFile(p, []byte(content), 0o640); err != nil {
		m.t.Fatal(err)
	}
}

func (m machine) read(name string) string {
	b, err := os.ReadFile(filepath.Join(m.dir, name))
	if err != nil {
		return err.Error()
	}
	return string(b)
}

// holds waits until a file of the machine holds that.
func (m machine) holds(name, want string) step {
	return m.eventually(func() error {
		if got := m.read(name); got != want {
			return fmt.Errorf("%s holds %.200q, want %.200q", name, got, want)
		}
		return nil
	})
}

func (m machine) eventually(check func() error) step {
	return chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
		for {
			err := check()
			if err == nil {
				return nil
			}
			select {
			case <-time.After(10 * time.Millisecond):
			case <-ctx.Done():
				return fmt.Errorf("%w: %w", ctx.Err(), err)
			}
		}
	})
}

const treeRows = `[...document.querySelectorAll(".filetree .file")].sort((a, b) => a.dataset.at - b.dataset.at).map((r) => r.querySelector(".name")?.textContent)`

// tree is true where the tree shows just those names.
func tree(names ...string) step {
	return until(fmt.Sprintf(`JSON.stringify(%s) === JSON.stringify(%s)`, treeRows, quoted(names)))
}

func quoted(names []string) string {
	all := make([]string, len(names))
	for i, n := range names {
		all[i] = fmt.Sprintf("%q", n)
	}
	return "[" + strings.Join(all, ",") + "]"
}

func fileRow(name string) string {
	return fmt.Sprintf(`[...document.querySelectorAll(".filetree .file")].find((r) => r.querySelector(".name")?.textContent === %q)`, name)
}

// openRow clicks a row of the tree.
func openRow(name string) step {
	return chromedp.Steps(until(fileRow(name)), do(fileRow(name)+`.querySelector(".name").click()`))
}

// choose takes an action of a row's menu.
func choose(name, action string) step {
	return chromedp.Steps(until(fileRow(name)), do(fileRow(name)+`.querySelector(".row-menu").click()`),
		until(`document.querySelector(".menu")`), do(fmt.Sprintf(`[...document.querySelectorAll(".menu button")].find((b) => b.firstChild.textContent === %q).click()`, action)))
}

// text is what the editor that is seen holds, as far as it is drawn.
const editorText = `[...document.querySelectorAll(".document:not([hidden]) .cm-line")].map((l) => l.textContent).join("\n")`

func edits(text string) step { return until(fmt.Sprintf(`%s === %q`, editorText, text)) }
func editsSome(text string) step {
	return until(fmt.Sprintf(`%s.includes(%q)`, editorText, text))
}

// insert types a text at the cursor of what has the focus, as a keyboard's input method does.
func insert(text string) step {
	return chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, input.InsertText, input.InsertTextParams{Text: text})
		return err
	})
}

// chord presses a key with ctrl held.
func chord(key string) step {
	return chromedp.KeyEvent(key, chromedp.KeyModifiers(chromedp.ModifierCtrl))
}

func unsaved(on bool) step {
	return until(fmt.Sprintf(`document.querySelector(".tab.on").classList.contains("unsaved") === %v`, on))
}

// TestFilesAndEditor does what a visitor does with files: make, type, save, and see what the shell does.
func TestFilesAndEditor(t *testing.T) {
	s, ctx := newSite(t), newBrowser(t)
	faults := watch(t, ctx)
	run(t, ctx, "window", look(false, 1280, 800))
	id := s.open(t, ctx)
	m := s.machine(t, id)
	run(t, ctx, "an empty home", until(`document.getElementById("files-wait").textContent.includes("empty")`))
	m.put("root/app/main.go", "package main\n\nfunc main() {\n\tprintln(\"hello\") // a comment\n}\n")
	m.put("root/notes.txt", "one\ntwo\n")
	run(t, ctx, "what the shell makes appears", tree("app", "notes.txt"))
	run(t, ctx, "open a folder and a file", openRow("app"), tree("app", "main.go", "notes.txt"), openRow("main.go"), editsSome("func main()"))
	picture(t, ctx, "editor-go")
	run(t, ctx, "type and save", insert("// first\n"), unsaved(true), chord("s"), unsaved(false))
	run(t, ctx, "it is there", m.holds("root/app/main.go", "// first\npackage main\n\nfunc main() {\n\tprintln(\"hello\") // a comment\n}\n"))
	if info, err := os.Stat(filepath.Join(m.dir, "root/app/main.go")); err != nil || info.Mode() != 0o640 {
		t.Errorf("its mode is %v, %v", info.Mode(), err)
	}
	run(t, ctx, "what the shell writes appears", openRow("notes.txt"), edits("one\ntwo\n"))
	m.put("root/notes.txt", "one\ntwo\nthree\n")
	run(t, ctx, "at once", edits("one\ntwo\nthree\n"), unsaved(false))
	run(t, ctx, "unsaved text is not written over", chord(kb.End), insert("mine\n"), unsaved(true))
	m.put("root/notes.txt", "theirs\n")
	run(t, ctx, "it says so", until(`document.querySelector(".document:not([hidden]) .notice").checkVisibility()`), edits("one\ntwo\nthree\nmine\n"))
	run(t, ctx, "saving does not force it", chord("s"), m.holds("root/notes.txt", "theirs\n"))
	run(t, ctx, "the difference", answer("Show the difference"), visible(".cm-deletedChunk"))
	picture(t, ctx, "editor-difference")
	run(t, ctx, "theirs", answer("Take all of theirs"), edits("theirs\n"), unsaved(false))
	run(t, ctx, "mine again by undoing", focusEditor(), chord("z"), edits("one\ntwo\nthree\nmine\n"), unsaved(true), chord("s"), unsaved(false), m.holds("root/notes.txt", "one\ntwo\nthree\nmine\n"))
	run(t, ctx, "keep mine", insert("x"), unsaved(true))
	m.put("root/notes.txt", "theirs again\n")
	run(t, ctx, "mine is saved over theirs, knowingly", answer("Keep mine"), chord("s"), unsaved(false), m.holds("root/notes.txt", "one\ntwo\nthree\nmine\nx"))
	if err := os.Remove(filepath.Join(m.dir, "root/notes.txt")); err != nil {
		t.Fatal(err)
	}
	run(t, ctx, "a file that was deleted is kept", answer("Save it anew"), m.holds("root/notes.txt", "one\ntwo\nthree\nmine\nx"), unsaved(false))
	for _, f := range faults() {
		t.Error(f)
	}
}

// late has the answers to requests of a method come a second late, where the address holds a word.
func late(method, word string) step {
	return do(fmt.Sprintf(`{
		const real = window.realFetch ??= window.fetch;
		window.fetch = async (url, init) => {
			const res = await real(url, init);
			if (init?.method === %q && String(url).includes(%q)) await new Promise((done) => setTimeout(done, 1000));
			return res;
		};
	}`, method, word))
}

// TestLateAnswers: what is heard of a file before the answer to a request does not confuse its editor.
func TestLateAnswers(t *testing.T) {
	s, ctx := newSite(t), newBrowser(t)
	faults := watch(t, ctx)
	run(t, ctx, "window", look(false, 1280, 800))
	m := s.machine(t, s.open(t, ctx))
	m.put("root/app/notes.txt", "one\n")
	run(t, ctx, "open", openRow("app"), openRow("notes.txt"), edits("one\n"))
	run(t, ctx, "renamed, which is heard first", late("POST", "?rename="), choose("app", "Rename"), until(naming), keys("site"), keys(kb.Enter), visible(".document .notice"),
		focusEditor(), chord(kb.End), insert("two\n"), until(`document.querySelector(".file-path").textContent === "/root/site/notes.txt"`), until(`!document.querySelector(".document .notice").checkVisibility()`), unsaved(true))
	run(t, ctx, "saved under its name", chord("s"), m.holds("root/site/notes.txt", "one\ntwo\n"), unsaved(false), until(`!document.querySelector("#notices .notice")`))
	run(t, ctx, "typed", late("GET", "/notes.txt"), insert("mine\n"), unsaved(true))
	m.put("theirs", "theirs\n") // beside it: no half of it is read
	if err := os.Rename(filepath.Join(m.dir, "theirs"), filepath.Join(m.dir, "root/site/notes.txt")); err != nil {
		t.Fatal(err)
	}
	run(t, ctx, "a save is refused before it is seen that the file has changed", chord("s"), answer("Keep mine"), unsaved(true))
	run(t, ctx, "the next is not", chord("s"), m.holds("root/site/notes.txt", "one\ntwo\nmine\n"), unsaved(false))
	for _, f := range faults() {
		t.Error(f)
	}
}

// answer presses a button of the bar above the text.
func answer(name string) step {
	b := fmt.Sprintf(`[...document.querySelectorAll(".document:not([hidden]) .notice button")].find((b) => b.checkVisibility() && b.textContent === %q)`, name)
	return chromedp.Steps(until(b), do(b+".click()"))
}

func focusEditor() step {
	return do(`document.querySelector(".document:not([hidden]) .cm-content").focus()`)
}

// TestDraftsAreKept: what is typed survives reloads and a server that does not answer.
func TestDraftsAreKept(t *testing.T) {
	s, ctx := newSite(t), newBrowser(t)
	faults := watch(t, ctx)
	run(t, ctx, "window", look(false, 1280, 800))
	id := s.open(t, ctx)
	m, box := s.machine(t, id), s.Sandbox(id)
	m.put("root/a.txt", "a\n")
	m.put("root/b.txt", "b\n")
	run(t, ctx, "type in two files", openRow("a.txt"), edits("a\n"), insert("mine "), openRow("b.txt"), edits("b\n"), insert("other "), unsaved(true))
	run(t, ctx, "reload", chromedp.Reload(), until(`document.querySelectorAll(".tab.unsaved").length === 2`), edits("other b\n"), unsaved(true))
	m.put("root/a.txt", "theirs\n")
	run(t, ctx, "the other has changed meanwhile", do(`document.querySelectorAll(".tab.of-file")[0].querySelector("button").click()`), edits("mine a\n"), answer("Keep mine"))
	box.Refuse(true)
	box.Cut()
	run(t, ctx, "nobody answers", chord("s"), until(`document.querySelector(".document:not([hidden]) .file-status").textContent.includes("kept in this browser")`), unsaved(true))
	run(t, ctx, "typed meanwhile", insert("still "))
	box.Refuse(false)
	run(t, ctx, "it is saved by itself", m.holds("root/a.txt", "still mine a\n"), unsaved(false))
	run(t, ctx, "closing asks", do(`document.querySelectorAll(".tab.of-file .tab-close")[1].click()`), visible("dialog.ask"), do(`document.querySelector("dialog.ask .primary").click()`),
		m.holds("root/b.txt", "other b\n"), until(`document.querySelectorAll(".tab.of-file").length === 1`))
	run(t, ctx, "closed files stay closed", chromedp.Reload(), until(`document.querySelectorAll(".tab.of-file").length === 1`), edits("still mine a\n"), unsaved(false))
	for _, f := range faults() {
		t.Error(f)
	}
}

// TestFilesThatAreNoPlainText: bytes that were not edited stay as they are, whatever they are.
func TestFilesThatAreNoPlainText(t *testing.T) {
	s, ctx := newSite(t), newBrowser(t)
	faults := watch(t, ctx)
	run(t, ctx, "window", look(false, 1280, 800))
	m := s.machine(t, s.open(t, ctx))
	long := strings.Repeat("x", 1_000_000)
	before := map[string]string{
		"crlf.txt": "one\r\ntwo\r\n", "latin1.txt": "caf\xe9 \x93q\x94\n", "mixed.txt": "one\r\ntwo\nthree\rfour\n", "bom.txt": "\ufeffbom\n", "long.txt": long, "empty": "",
	}
	for name, content := range before {
		m.put("root/"+name, content)
	}
	for _, name := range []string{"crlf.txt", "latin1.txt", "mixed.txt", "bom.txt", "long.txt", "empty"} {
		run(t, ctx, name, openRow(name), until(`document.querySelector(".tab.on .tab-title").textContent === "`+name+`"`), visible(".document:not([hidden]) .cm-content"),
			focusEditor(), insert("é"), unsaved(true), chord("s"), unsaved(false))
		want := "é" + before[name]
		if name == "latin1.txt" {
			want = "\xe9" + before[name]
		}
		run(t, ctx, name+" on the disk", m.holds("root/"+name, want))
		run(t, ctx, name+" undone", chord("z"), unsaved(true), chord("s"), m.holds("root/"+name, before[name]))
	}
	run(t, ctx, "a line in a CRLF file", openRow("crlf.txt"), edits("one\ntwo\n"), focusEditor(), keys("\r"), chord("s"), m.holds("root/crlf.txt", "\r\none\r\ntwo\r\n"))
	run(t, ctx, "what the file cannot hold", openRow("latin1.txt"), focusEditor(), insert("ж"), chord("s"), until(`document.querySelector(".document:not([hidden]) .file-status").textContent.includes("cannot hold “ж”")`))
	m.put("root/latin1.txt", "ok\n")
	run(t, ctx, "and theirs", answer("Take theirs"), edits("ok\n"))
	m.put("root/latin1.txt", "ok\r\nmixed\nnow\xe9\n")
	run(t, ctx, "line ends that have become mixed stay so", until(`document.querySelector(".document:not([hidden]) .file-bar").innerText.includes("mixed line ends · not UTF-8")`), focusEditor(), chord(kb.End), insert("x"), chord("s"), m.holds("root/latin1.txt", "ok\r\nmixed\nnow\xe9\nx"))
	m.put("root/program", "\x7fELF\x00\x01")
	m.put("root/large.log", long+long)
	run(t, ctx, "binary", openRow("program"), until(`document.querySelector(".document:not([hidden]) .none-yet").textContent.includes("not text")`))
	run(t, ctx, "large", openRow("large.log"), until(`document.querySelector(".document:not([hidden]) .none-yet").textContent.includes("up to 1 MB")`))
	picture(t, ctx, "editor-large")
	for _, f := range faults() {
		t.Error(f)
	}
}

// TestRestsWhileHidden: a page that is not seen holds no connection for its files, and catches up when it is seen again.
func TestRestsWhileHidden(t *testing.T) {
	s, ctx := newSite(t), newBrowser(t)
	faults := watch(t, ctx)
	run(t, ctx, "window", look(false, 1280, 800))
	id := s.open(t, ctx)
	m := s.machine(t, id)
	m.put("root/a.txt", "a\n")
	hide := func(on bool) step {
		return do(fmt.Sprintf(`Object.defineProperty(document, "hidden", { value: %v, configurable: true }); document.dispatchEvent(new Event("visibilitychange")); 0`, on))
	}
	watches := func() (n int) {
		for _, h := range s.Sandbox(id).Seen() {
			if h.Get("X-Path") == "/v1/files/root" && h.Get("Accept") == "text/event-stream" {
				n++
			}
		}
		return n
	}
	run(t, ctx, "open", openRow("a.txt"), edits("a\n"), hide(true), until(`(window.hiddenSince ??= Date.now()) + 300 < Date.now()`))
	before := watches()
	m.put("root/a.txt", "b\n")
	m.put("root/b.txt", "b\n")
	run(t, ctx, "nothing is told", until(`(window.hiddenSince ??= Date.now()) + 900 < Date.now()`), edits("a\n"), tree("a.txt"))
	if n := watches(); n != before {
		t.Errorf("a hidden page opened %d watches", n-before)
	}
	run(t, ctx, "seen again", hide(false), edits("b\n"), tree("a.txt", "b.txt"))
	for _, f := range faults() {
		t.Error(f)
	}
}
