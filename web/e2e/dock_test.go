package e2e_test

import (
	"strconv"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

const dockHeight = `document.getElementById("dock").clientHeight`

func TestPanelsByKeyboard(t *testing.T) {
	s, ctx := newSite(t), newBrowser(t)
	faults := watch(t, ctx)
	id := s.open(t, ctx)
	furnish(s.docker(id))
	ctrl := chromedp.KeyModifiers(chromedp.ModifierCtrl)
	focused := func(selector string) step {
		return until(`document.activeElement.matches(` + "`" + selector + "`" + `)`)
	}
	run(t, ctx, "by the palette", chromedp.KeyEvent("k", ctrl), visible("dialog.palette"), keys("show the im\r"), focused("#dock-tab-images"), visible("#dock-images .entry"))
	run(t, ctx, "arrows", chromedp.KeyEvent(kb.ArrowLeft), focused("#dock-tab-containers"), row("web"), chromedp.KeyEvent(kb.ArrowLeft), focused("#dock-tab-changes"),
		visible("#dock-changes .changes"), chromedp.KeyEvent(kb.ArrowRight), row("web"))
	before, err := chromedp.Run(ctx, chromedp.Evaluate[int](dockHeight))
	if err != nil {
		t.Fatal(err)
	}
	run(t, ctx, "height", do(`document.getElementById("dock-grip").focus()`), chromedp.KeyEvent(kb.ArrowUp), chromedp.KeyEvent(kb.ArrowUp),
		until(dockHeight+` > `+strconv.Itoa(before+40)), chromedp.KeyEvent(kb.Home), until(dockHeight+` <= 128`), chromedp.KeyEvent(kb.End),
		until(`document.querySelector(".terminals").clientHeight >= 80`), chromedp.Reload(), row("web"), until(dockHeight+` > `+strconv.Itoa(before+40)))
	run(t, ctx, "through a row by tab", do(`document.querySelector(".opener").focus()`), chromedp.KeyEvent(kb.Tab), focused("a.port"), chromedp.KeyEvent(kb.Tab), focused("a.port"),
		chromedp.KeyEvent(kb.Tab), focused(`[aria-label="Shell in web"]`), chromedp.KeyEvent(kb.Tab), focused(`[aria-label="Logs of web"]`), keys("\r"), focused(".log"))
	run(t, ctx, "to the shell and by name", chromedp.KeyEvent("`", ctrl), focused("textarea"), chromedp.KeyEvent("k", ctrl), visible("dialog.palette"), keys("stop db\r"), row("db", "exited"))
	run(t, ctx, "folded", chromedp.KeyEvent("k", ctrl), visible("dialog.palette"), keys("fold\r"), until(`document.getElementById("dock-body").hidden`))
	for _, f := range faults() {
		t.Error(f)
	}
}

func TestPanelsOfAPhone(t *testing.T) {
	s, ctx := newSite(t), newBrowser(t)
	faults := watch(t, ctx)
	run(t, ctx, "a phone", look(false, 360, 640))
	id := s.open(t, ctx)
	furnish(s.docker(id))
	shell := func(seen bool) step {
		if seen {
			return chromedp.Steps(visible(".terminals"), visible("#keys"), until(`!document.getElementById("dock-body").checkVisibility()`))
		}
		return until(`!document.getElementById("shell").checkVisibility()`)
	}
	run(t, ctx, "a panel is a tab", panel("containers"), row("web"), shell(false), fits())
	run(t, ctx, "back to the shell", click(`[data-panel="shell"]`), shell(true), until(`document.activeElement.matches("textarea")`))
	run(t, ctx, "a shell in a container comes to the front", panel("containers"), press("Shell in web"), shell(true), shows("docker exec -it web"))
	run(t, ctx, "so does a command", panel("images"), press("Type docker run busybox:latest into the shell"), shell(true), shows("docker run -it --rm busy"))
	cols, rows := s.Sandbox(id).Terminal("1").Size()
	if cols < 30 || rows < 10 {
		t.Errorf("the shell has %d columns, %d rows", cols, rows)
	}
	for _, f := range faults() {
		t.Error(f)
	}
}
