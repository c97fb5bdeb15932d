package e2e_test

import (
	"testing"

	"github.com/chromedp/chromedp/kb"
)

// TestFilesFit shows files and editor in every look: nothing wider than the window, nothing refused by the policy.
func TestFilesFit(t *testing.T) {
	s, ctx := newSite(t), newBrowser(t)
	faults := watch(t, ctx)
	for _, size := range sizes {
		t.Run(size.name, func(t *testing.T) {
			run(t, ctx, "set the look", look(size.dark, size.width, size.height))
			m := s.machine(t, s.open(t, ctx))
			m.put("root/app/Dockerfile", dockerfile)
			m.put("root/app/a file with quite a long name that does not fit.txt", "x\n")
			m.put("root/app/main.go", "package main\n")
			m.put("root/compose.yaml", "services:\n  web:\n    image: nginx # a comment\n    ports: [\"8080:80\"]\n    restart: true\n")
			phone := size.width < 600
			toFiles := do(`0`)
			if phone {
				toFiles = click(`.dock-tabs [data-panel=files]`)
			}
			run(t, ctx, "the tree", answersCheck(found), toFiles, openRow("app"), tree("app", "a file with quite a long name that does not fit.txt", "Dockerfile", "main.go", "compose.yaml"), fits())
			picture(t, ctx, "files-"+size.name)
			run(t, ctx, "a menu", do(fileRow("main.go")+`.querySelector(".row-menu").click()`), visible(".menu"), fits())
			picture(t, ctx, "files-menu-"+size.name)
			run(t, ctx, "away", keys(kb.Escape), until(`!document.querySelector(".menu")`))
			run(t, ctx, "the editor", openRow("Dockerfile"), editsSome("FROM golang"), until(`document.querySelectorAll(".cm-lintRange-warning").length >= 4`), fits(),
				do(`document.dispatchEvent(new CustomEvent("berth:build-marks", { detail: { path: "/root/app/Dockerfile", marks: [{ line: 3, end_line: 3, kind: "cached", text: "cached" }, { line: 5, end_line: 5, kind: "ran", text: "ran" }, { line: 6, end_line: 7, kind: "failed", text: "failed" }] } }))`),
				visible(".build-mark.failed"), click(`[title="What BuildKit's checks say"]`), visible(".cm-panel-lint"), fits())
			picture(t, ctx, "editor-"+size.name)
			run(t, ctx, "back and another", toFiles, openRow("compose.yaml"), editsSome("services"), insert("# mine\n"))
			m.put("root/compose.yaml", "services: {}\n")
			run(t, ctx, "a conflict", answer("Show the difference"), visible(".cm-deletedChunk"), fits())
			picture(t, ctx, "editor-conflict-"+size.name)
			run(t, ctx, "to the shell", do(`document.querySelector("#tabs [role=tab]").click()`), visible(".xterm"))
		})
	}
	for _, f := range faults() {
		t.Error(f)
	}
}
