package e2e_test

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/chromedp/cdproto/browser"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

func (m machine) gone(name string) step {
	return m.eventually(func() error {
		_, err := os.Lstat(filepath.Join(m.dir, name))
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return errors.Join(errors.New(name+" is still there"), err)
	})
}

func activeRow(name string) step {
	return until(fmt.Sprintf(`document.querySelector(".filetree .file[aria-selected=true] .name")?.textContent === %q`, name))
}

func focusTree() step { return do(`document.querySelector(".filetree").focus()`) }

func tool(label string) step { return click(fmt.Sprintf(`#files-tools [aria-label=%q]`, label)) }

const naming = `document.querySelector(".naming input")`

// drop has files dropped on a node, as from the visitor's desktop.
func drop(node, name, content string) step {
	return do(fmt.Sprintf(`{
		const data = new DataTransfer();
		data.items.add(new File([%q], %q));
		for (const type of ["dragover", "drop"]) (%s).dispatchEvent(new DragEvent(type, { dataTransfer: data, bubbles: true, cancelable: true }));
	}`, content, name, node))
}

// TestTree makes, renames, moves and deletes with keyboard and mouse.
func TestTree(t *testing.T) {
	s, ctx := newSite(t), newBrowser(t)
	faults := watch(t, ctx)
	run(t, ctx, "window", look(false, 1280, 800))
	m := s.machine(t, s.open(t, ctx))
	m.put("root/app/main.go", "package main\n")
	m.put("root/app/go.mod", "module app\n")
	m.put("root/.profile", "umask 022\n")
	run(t, ctx, "the tree", tree("app", ".profile"))
	run(t, ctx, "keyboard", focusTree(), activeRow("app"), keys(kb.ArrowRight), tree("app", "go.mod", "main.go", ".profile"), keys(kb.ArrowRight), activeRow("go.mod"),
		keys(kb.End), activeRow(".profile"), keys("m"), activeRow("main.go"), keys(kb.ArrowLeft), activeRow("app"), keys(kb.Home), keys(kb.ArrowDown), activeRow("go.mod"))
	run(t, ctx, "it is a tree", until(`(() => { const r = document.getElementById(document.querySelector(".filetree").getAttribute("aria-activedescendant"));
		return r.role === "treeitem" && r.ariaLevel === "2" && r.ariaPosInSet === "1" && r.ariaSetSize === "2" })()`), until(`document.querySelector(".filetree .folder").ariaExpanded === "true"`))
	run(t, ctx, "what is known of it", until(`/^11 B · -rw-r----- · 0:0 · /.test(document.querySelector(".facts-line").textContent)`))
	run(t, ctx, "F2", keys(kb.F2), until(naming+`?.value === "go.mod"`), keys("gone"), keys(kb.Enter), m.holds("root/app/gone.mod", "module app\n"), activeRow("gone.mod"))
	run(t, ctx, "a name that is taken", keys(kb.F2), until(naming), do(naming+`.select()`), keys("main.go"), keys(kb.Enter), until(`document.querySelector(".notice").innerText.includes("something of that name")`))
	run(t, ctx, "a name that cannot be", focusTree(), keys(kb.F2), until(naming), keys("a/b"), keys(kb.Enter), until(`document.querySelector(".naming .failed").textContent.includes("cannot hold /")`), keys(kb.Escape), tree("app", "gone.mod", "main.go", ".profile"))
	run(t, ctx, "a new file beside it", tool("New file"), until(naming), keys("Dockerfile"), keys(kb.Enter), m.holds("root/app/Dockerfile", ""), until(`document.querySelector(".tab.on .tab-title").textContent === "Dockerfile"`),
		click(`.file-bar button.quiet:not([hidden])`), editsSome("FROM busybox"), until(`!document.querySelector(".file-bar .quiet:not([hidden])")`), chord("a"), keys(kb.Delete), insert("FROM scratch\n"), chord("s"), m.holds("root/app/Dockerfile", "FROM scratch\n"))
	run(t, ctx, "a new folder in a folder", choose("app", "New folder"), until(naming), keys("deep"), keys(kb.Enter), tree("app", "deep", "Dockerfile", "gone.mod", "main.go", ".profile"))
	run(t, ctx, "what is open is renamed with its folder", choose("app", "Rename"), until(naming), keys("site"), keys(kb.Enter), tree("site", "deep", "Dockerfile", "gone.mod", "main.go", ".profile"),
		until(`document.querySelector(".document:not([hidden]) .file-path").textContent === "/root/site/Dockerfile"`), focusEditor(), chord(kb.End), insert("# "), chord("s"), m.holds("root/site/Dockerfile", "FROM scratch\n# "))
	run(t, ctx, "delete asks", do(fileRow("deep")+`.querySelector(".name").click()`), focusTree(), activeRow("deep"), keys(kb.Delete), visible("dialog.ask"), click("dialog.ask .danger"), m.gone("root/site/deep"), tree("site", "Dockerfile", "gone.mod", "main.go", ".profile"))
	run(t, ctx, "no", choose("main.go", "Delete"), visible("dialog.ask"), do(`document.querySelector("dialog.ask .actions button:last-child").click()`), until(`!document.querySelector("dialog.ask")`), m.holds("root/site/main.go", "package main\n"))
	run(t, ctx, "up and home again", tool("The folder above"), tree("root"), choose("root", "Show only this folder"), tree("site", ".profile"))
	run(t, ctx, "fold, reload, unfold", click("#files-fold"), until(`!document.getElementById("files").checkVisibility()`), chromedp.Reload(), visible("#files-open"), until(`!document.getElementById("files").checkVisibility()`), click("#files-open"), tree("site", ".profile"),
		openRow("site"), tree("site", "Dockerfile", "gone.mod", "main.go", ".profile"), chromedp.Reload(), tree("site", "Dockerfile", "gone.mod", "main.go", ".profile"))
	run(t, ctx, "its width is kept", do(`document.getElementById("files-grip").focus()`), keys(kb.ArrowRight), until(`document.getElementById("files").clientWidth > 255`), chromedp.Reload(), visible(".filetree"), until(`document.getElementById("files").clientWidth > 255`),
		look(false, 400, 800), look(false, 1280, 800), until(`document.getElementById("files").clientWidth > 255`))
	for _, f := range faults() {
		t.Error(f)
	}
}

// TestOddNames: names that hide something are shown as they are, and work.
func TestOddNames(t *testing.T) {
	s, ctx := newSite(t), newBrowser(t)
	faults := watch(t, ctx)
	run(t, ctx, "window", look(false, 1280, 800))
	m := s.machine(t, s.open(t, ctx))
	m.put("root/a\nb", "newline\n")
	m.put("root/c\x1b[31m<img src=x onerror=alert(1)>", "escape\n")
	m.put("root/d\u202etxt.exe", "direction\n")
	m.put("root/e\xff", "not UTF-8\n")
	m.put("root/f%2F?#&+ ", "url\n")
	m.put("root/g\xfe/inner", "in such a folder\n")
	if err := os.Symlink("g\xfe", filepath.Join(m.dir, "root/link")); err != nil {
		t.Fatal(err)
	}
	run(t, ctx, "names", tree("g\ufffd", "link", `a\nb`, `c\e[31m<img src=x onerror=alert(1)>`, `d\u{202e}txt.exe`, "e\ufffd", "f%2F?#&+ "))
	for name, content := range map[string]string{`a\nb`: "newline\n", `c\e[31m<img src=x onerror=alert(1)>`: "escape\n", `d\u{202e}txt.exe`: "direction\n", "e\ufffd": "not UTF-8\n", "f%2F?#&+ ": "url\n"} {
		run(t, ctx, name, openRow(name), edits(content), insert("x"), chord("s"), unsaved(false))
	}
	run(t, ctx, "on the disk", m.holds("root/e\xff", "xnot UTF-8\n"), m.holds("root/a\nb", "xnewline\n"), m.holds("root/f%2F?#&+ ", "xurl\n"))
	m.put("root/e\xff", "from the shell\n")
	run(t, ctx, "watched", openRow("e\ufffd"), edits("from the shell\n"))
	run(t, ctx, "such a folder", openRow("g\ufffd"), openRow("inner"), edits("in such a folder\n"))
	run(t, ctx, "renamed", choose("e\ufffd", "Rename"), until(naming), do(naming+`.value = "plain"`), keys(kb.Enter), m.holds("root/plain", "from the shell\n"))
	run(t, ctx, "deleted", choose(`a\nb`, "Delete"), click("dialog.ask .danger"), m.gone("root/a\nb"), until(`document.querySelector("#notices .notice") === null`))
	for _, f := range faults() {
		t.Error(f)
	}
}

// TestManyFiles: a large folder is a window of some rows.
func TestManyFiles(t *testing.T) {
	s, ctx := newSite(t), newBrowser(t)
	faults := watch(t, ctx)
	run(t, ctx, "window", look(false, 1280, 800))
	m := s.machine(t, s.open(t, ctx))
	const many = 30_000 // more than one answer holds; a hundred thousand is the same, and takes a minute to make
	m.put("many/sub/file", "")
	for i := range many {
		f, err := os.OpenFile(filepath.Join(m.dir, fmt.Sprintf("many/%06d.txt", i)), os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		_ = f.Close()
	}
	if err := os.Rename(filepath.Join(m.dir, "many"), filepath.Join(m.dir, "root/many")); err != nil {
		t.Fatal(err)
	}
	run(t, ctx, "open it", openRow("many"), until(fileRow("000000.txt")), until(`document.querySelector(".filetree .file[aria-level='2']").ariaSetSize === "30001"`))
	run(t, ctx, "the end of it", focusTree(), keys(kb.End), activeRow("029999.txt"), until(`document.querySelectorAll(".filetree .file").length < 100`))
	run(t, ctx, "by name", keys("0250"), activeRow("025000.txt"), keys("05"), activeRow("025005.txt"))
	m.put("root/many/025005a.txt", "new\n")
	run(t, ctx, "one more", until(fileRow("025005a.txt")), activeRow("025005.txt"), openRow("025005a.txt"), edits("new\n"))
	for _, f := range faults() {
		t.Error(f)
	}
}

// TestUpAndDownload sends files to the machine and has the browser save them.
func TestUpAndDownload(t *testing.T) {
	s, ctx := newSite(t), newBrowser(t)
	faults := watch(t, ctx)
	saved := t.TempDir()
	run(t, ctx, "window", look(false, 1280, 800), chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, browser.SetDownloadBehavior, browser.SetDownloadBehaviorParams{Behavior: browser.SetDownloadBehaviorBehaviorAllow, DownloadPath: saved})
		return err
	}))
	m := s.machine(t, s.open(t, ctx))
	m.put("root/app/main.go", "package main\n")
	run(t, ctx, "dropped on a folder", until(fileRow("app")), drop(fileRow("app"), "up.txt", "from the desktop\n"), m.holds("root/app/up.txt", "from the desktop\n"), tree("app", "main.go", "up.txt"))
	run(t, ctx, "dropped beside", drop(`document.querySelector(".filetree")`, "ü \u00a0x.txt", "here\n"), m.holds("root/ü \u00a0x.txt", "here\n"))
	run(t, ctx, "one that is there", drop(fileRow("app"), "up.txt", "newer\n"), visible("dialog.ask"), m.holds("root/app/up.txt", "from the desktop\n"), click("dialog.ask .danger"), m.holds("root/app/up.txt", "newer\n"))
	big := filepath.Join(t.TempDir(), "big.bin")
	if err := os.WriteFile(big, bytes.Repeat([]byte{0, 1, 2, 3}, 8<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	run(t, ctx, "by the button", do(fileRow("app")+`.querySelector(".name").click()`), chromedp.SetUploadFiles(chromedp.CSS(`#files input[type=file]`), []string{big}), m.eventually(func() error {
		for _, dir := range []string{"root/app/big.bin", "root/big.bin"} {
			if info, err := os.Stat(filepath.Join(m.dir, dir)); err == nil && info.Size() == 32<<20 {
				return nil
			}
		}
		return errors.New("big.bin is not there")
	}))
	run(t, ctx, "a large one that is there: asked before it is sent", do(`{
		const { send } = XMLHttpRequest.prototype;
		window.sent = 0;
		XMLHttpRequest.prototype.send = function (body) { window.sent++; return send.call(this, body); };
	}`), until(fileRow("big.bin")), chromedp.SetUploadFiles(chromedp.CSS(`#files input[type=file]`), []string{big}), visible("dialog.ask"), until(`window.sent === 0`),
		click("dialog.ask .danger"), until(`document.querySelector(".upload.done")`), until(`window.sent === 1`))
	run(t, ctx, "more than the disk", do(fmt.Sprintf(`{
		const data = new DataTransfer(), mega = new Blob([new Uint8Array(1 << 20)]);
		data.items.add(new File(Array(%d).fill(mega), "huge.bin"));
		document.querySelector(".filetree").dispatchEvent(new DragEvent("drop", { dataTransfer: data, bubbles: true, cancelable: true }));
	}`, 3<<10)), until(`document.querySelector("#notices .notice")?.innerText.includes("nothing was uploaded")`), until(`window.sent === 1`))
	run(t, ctx, "download", choose("up.txt", "Download"), m.eventually(func() error {
		if b, err := os.ReadFile(filepath.Join(saved, "up.txt")); err != nil || string(b) != "newer\n" {
			return fmt.Errorf("saved %q, %w", b, err)
		}
		return nil
	}))
	run(t, ctx, "a folder", choose("app", "Download as a tar"), m.eventually(func() error {
		b, err := os.ReadFile(filepath.Join(saved, "app.tar"))
		if err != nil {
			return err
		}
		for r := tar.NewReader(bytes.NewReader(b)); ; {
			h, err := r.Next()
			if err != nil {
				return err
			}
			if content, err := io.ReadAll(r); filepath.Base(h.Name) == "main.go" && string(content) == "package main\n" {
				return err
			}
		}
	}))
	for _, f := range faults() {
		t.Error(f)
	}
}
