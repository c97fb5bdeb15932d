package e2e_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	chromium "github.com/chromedp/cdproto/browser"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

const (
	lines  = `[...document.querySelectorAll(".document:not([hidden]) .cm-line")].map((l) => l.textContent).join("\n")`
	naming = `document.querySelector(".naming input")`
)

func edits(text string) step { return until(fmt.Sprintf(`%s === %q`, lines, text)) }

func treeRow(name string) string {
	return fmt.Sprintf(`[...document.querySelectorAll(".filetree .file")].find((r) => r.querySelector(".name")?.textContent === %q)`, name)
}

func openRow(name string) step { return clickAt(treeRow(name) + `?.querySelector(".name")`) }

// clickAt clicks with the mouse, as a person does: an element that is made anew between press and release is missed.
func clickAt(element string) step {
	return chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		if _, err := until(element)(ctx, t); err != nil {
			return err
		}
		at, err := chromedp.Evaluate[[2]float64](`(() => { const e = (`+element+`); e.scrollIntoView({block: "nearest"}); const b = e.getBoundingClientRect(); return [b.x + b.width / 2, b.y + b.height / 2] })()`)(ctx, t)
		if err != nil {
			return err
		}
		_, err = chromedp.MouseClickXY(at[0], at[1])(ctx, t)
		return err
	})
}

// inMenu takes an action of a row's menu.
func inMenu(name, action string) step {
	return chromedp.Steps(until(treeRow(name)), script(treeRow(name)+`.querySelector(".row-menu").click()`), until(`document.querySelector(".menu")`),
		script(fmt.Sprintf(`[...document.querySelectorAll(".menu button")].find((b) => b.firstChild.textContent === %q).click()`, action)))
}

// insert types where the focus is, as an input method does.
func insert(text string) step {
	return chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, input.InsertText, input.InsertTextParams{Text: text})
		return err
	})
}

func nameIt(text string) step { // a name in the tree, and enter
	return chromedp.Steps(until(naming), script(fmt.Sprintf(`%s.value = %q`, naming, text)), chromedp.KeyEvent("\r"))
}

func ctrl(key string) step {
	return chromedp.Steps(script(`document.querySelector(".document:not([hidden]) .cm-content").focus()`), chromedp.KeyEvent(key, chromedp.KeyModifiers(chromedp.ModifierCtrl)))
}

func unsaved(on bool) step {
	return until(fmt.Sprintf(`document.querySelector(".tab.on").classList.contains("unsaved") === %v`, on))
}

func toShell() step {
	return chromedp.Steps(script(`document.querySelector("#tabs [role=tab]").click()`), visible(".pane:not([hidden]) .xterm-rows"))
}

func toFile() step {
	return chromedp.Steps(script(`document.querySelector(".tab.of-file [role=tab]").click()`), visible(".document:not([hidden]) .cm-content"))
}

func saved(dir, name, content string) step {
	return chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
		for {
			b, err := os.ReadFile(filepath.Join(dir, name))
			if err == nil && strings.Contains(string(b), content) {
				return nil
			}
			if ctx.Err() != nil {
				return fmt.Errorf("%s holds %q, %w", name, b, err)
			}
		}
	})
}

// TestEditor: the shell and the editor see the same files, over reloads and a kill of the server.
func TestEditor(t *testing.T) {
	s := serve(t)
	b := newBrowser(t)
	dir := t.TempDir()
	b.do("start", look("light", 1280, 800), chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, chromium.SetDownloadBehavior, chromium.SetDownloadBehaviorParams{Behavior: chromium.SetDownloadBehaviorBehaviorAllow, DownloadPath: dir})
		return err
	}), chromedp.Navigate(s.url+"/healthz"), script(`localStorage.setItem("berth.renderer", "dom")`),
		chromedp.Navigate(s.url+"/"), click(`button[value="debian"]`), visible(".xterm-rows"), shows("root@debian"))
	b.do("a folder from the shell", types("mkdir app; cd app; clear\r"), until(treeRow("app")), openRow("app"))
	b.do("a file in it", inMenu("app", "New file"), nameIt("Dockerfile"), visible(".document:not([hidden]) .cm-content"), insert("FROM scratch\nCMD /x\n"), unsaved(true), ctrl("s"), unsaved(false))
	b.do("BuildKit's checks as typed", until(`document.querySelector(".file-bar").innerText.includes("1 remark")`), until(`document.querySelector(".cm-lintRange-warning").textContent === "CMD /x"`))
	b.do("the shell shows it", toShell(), types("cat Dockerfile; stat -c '%a %U' Dockerfile; chmod 600 Dockerfile; chown 1:1 Dockerfile\r"), shows("CMD /x"), shows("644 root"))
	b.do("the shell adds to it", types("clear; echo '# from the shell' >> Dockerfile\r"), toFile(), edits("FROM scratch\nCMD /x\n# from the shell\n"), unsaved(false))
	b.picture("editor")
	b.do("owner and mode stay", insert("# typed\n"), ctrl("s"), unsaved(false), toShell(), types("clear; stat -c '%a %u:%g' Dockerfile\r"), shows("600 1:1"))
	b.do("a draft over a reload", toFile(), insert("# draft\n"), unsaved(true), chromedp.Reload(), visible(".document:not([hidden]) .cm-content"), until(lines+`.includes("# draft")`), unsaved(true))
	b.do("the shell writes meanwhile", toShell(), types("clear; printf 'FROM busybox\\n' > Dockerfile\r"), toFile(), until(`document.querySelector(".document:not([hidden]) .notice").innerText.includes("changed on the machine")`), until(lines+`.includes("# draft")`),
		script(`[...document.querySelectorAll(".document:not([hidden]) .notice button")].find((b) => b.textContent === "Take theirs").click()`), edits("FROM busybox\n"), unsaved(false))
	s.kill()
	b.do("typed while there is no server", insert("# alone\n"), ctrl("s"), until(`document.querySelector(".file-status").textContent.includes("kept in this browser")`))
	s.start()
	b.do("saved when there is one", unsaved(false), toShell(), types("clear; cat Dockerfile\r"), shows("# alone"))
	b.do("watched again", types("clear; touch 'a\nb'\r"), until(treeRow(`a\nb`)))
	b.do("renamed in the tree", inMenu("Dockerfile", "Rename"), nameIt("Containerfile"), until(`document.querySelector(".tab.of-file .tab-title").textContent === "Containerfile"`), toShell(), types("clear; ls\r"), shows("Containerfile"))
	b.do("uploaded", script(fmt.Sprintf(`{
		const data = new DataTransfer();
		data.items.add(new File(["x".repeat(1 << 20), "\n"], "one line.txt"));
		for (const type of ["dragover", "drop"]) %s.dispatchEvent(new DragEvent(type, { dataTransfer: data, bubbles: true, cancelable: true }));
	}`, treeRow("app"))), types("clear; while ! wc -c 'one line.txt'; do sleep 1; done; printf 'caf\\351\\r\\n' > latin1; clear\r"), until(treeRow("one line.txt")), until(treeRow("latin1")))
	b.do("not UTF-8, and CRLF", openRow("latin1"), edits("café\n"), until(`document.querySelector(".document:not([hidden]) .file-bar").innerText.includes("CRLF · not UTF-8")`), ctrl(kb.End), insert("é\n"), ctrl("s"), unsaved(false),
		toShell(), types("clear; od -An -tx1 latin1\r"), shows("63 61 66 e9 0d 0a e9 0d 0a"))
	b.do("downloaded", inMenu("Containerfile", "Download"), saved(dir, "Containerfile", "# alone"), inMenu("app", "Download as a tar"), saved(dir, "app.tar", "# alone"))
	b.do("deleted", inMenu("Containerfile", "Delete"), click("dialog.ask .danger"), until(`!`+treeRow("Containerfile")), types("clear; ls | wc -l\r"), shows("3"))
	b.do("what the image brought", script(`document.dispatchEvent(new CustomEvent("berth:open-file", { detail: { path: "/etc/hostname.none" } }))`), until(`document.querySelector(".document:not([hidden]) .none-yet").innerText.includes("no such file")`),
		script(`document.dispatchEvent(new CustomEvent("berth:open-file", { detail: { path: "/etc/os-release", line: 2 } }))`), until(lines+`.includes("Debian")`), toShell(), types("clear; echo '# more' >> /etc/os-release\r"),
		script(`[...document.querySelectorAll(".tab.of-file")].at(-1).querySelector("button").click()`), until(lines+`.includes("# more")`))
	close(b.faults)
	for f := range b.faults {
		t.Error("script: ", f)
	}
}
