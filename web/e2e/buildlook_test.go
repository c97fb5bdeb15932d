package e2e_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"berth/web/webtest"
)

// Every state of the build panel in every look.
func TestBuildPanelFits(t *testing.T) {
	s, ctx := newSite(t), newBrowser(t)
	faults := watch(t, ctx)
	for _, size := range sizes {
		t.Run(size.name, func(t *testing.T) {
			run(t, ctx, "set the look", look(size.dark, size.width, size.height))
			id := s.open(t, ctx)
			s.Sandbox(id).Terminal("1").Print(sample)
			b := s.builds(id)
			shot := func(name string, steps ...step) {
				t.Helper()
				run(t, ctx, name, append(steps, fits(), do(still))...)
				picture(t, ctx, "build-"+name+"-"+size.name)
			}
			shot("empty", panel("build"), visible(".no-builds"))
			b.PutFile("/root/app/Dockerfile", builtDockerfile)
			old := time.Now().UTC().Add(-20 * time.Minute)
			x := b.New(fields{"started_at": old, "source": "docker"})
			succeed(x, false, fields{"ended_at": old.Add(34600 * time.Millisecond), "image_size": 121 << 20})
			shot("options", chromedp.Reload(), says(stripText, "built in"), click(".build-form .row .quiet"), press("Add a build argument"), do(`document.querySelector(".arg input").value = "VERSION"; document.getElementById("build-no-cache").click()`))
			shot("done", click(".build-form .row .quiet"), chooseStep("RUN go build -o /app ."), says(logText, "building"))
			y := b.New(fields{})
			begin(y)
			for _, c := range []string{"b1", "b2", "b3"} {
				did(y, c, 0, 40<<20)
			}
			runs(y, "b4")
			y.Step("sha256:a1", fields{"state": "running", "started_at": time.Now().UTC().Add(-4 * time.Second), "progress": []fields{
				{"name": "sha256:2d35ebdb57d9", "current": 29 << 20, "total": 29 << 20}, {"name": "extracting sha256:2d35ebdb57d9", "current": 12 << 20, "total": 29 << 20},
			}})
			for i := range 40 {
				y.Log("sha256:b4", 2, fmt.Sprintf("go: \x1b[36mdownloading\x1b[0m example.org/module/number%d \x1b[33mv1.%d.0\x1b[0m\n", i, i))
			}
			shot("running", says(stripText, "3 cached"), says(logText, "number39"))
			shot("pulling", chooseStep("FROM debian:bookworm-slim"), visible(".pulling"))
			for _, c := range []string{"b4", "b5", "b6", "a1", "a2", "c1"} {
				did(y, c, 900, 3<<20)
			}
			y.Warn(fields{"rule": "StageNameCasing", "message": "Stage name 'Build' should be lowercase", "url": "https://docs.docker.com/go/dockerfile/rule/stage-name-casing/", "line": 2, "end_line": 2})
			export(y, 91<<20)
			shot("warnings", says(stripText, "built in"), click(".strip .warn"))
			run(t, ctx, "fold them", click(".strip .warn"))
			b.Started(fail)
			shot("failed", click("#dock-build .go"), says(stripText, "failed after"), says(logText, "Printl"))
			shot("internal", click(".fold"), do(`document.querySelector(".internal-steps .step").click()`))
			shot("history", click(".fold"), do(`document.querySelector(".build-panel").scrollTop = 1e6`))
			shot("compare", do(`document.querySelector(".builds li:nth-child(2) .build").click()`), says(stripText, "built in"), do(`document.querySelector(".builds li:nth-child(3) [aria-label^=Compare]").click()`), says(`document.querySelector(".verdict").innerText`, "less than"), until(`!document.querySelector("#dock-build .canvas").checkVisibility()`), do(`document.querySelector("#dock-build .build-panel").scrollTop = 0`))
			b.Started(func(x *webtest.Build) {
				x.End("failed", fields{"error": fields{"message": "dockerfile parse error on line 7: unknown instruction: RUNN (did you mean RUN?)", "step": "", "line": 7, "end_line": 7, "exit_code": 0}})
			})
			shot("syntax", press("Back to the build"), click("#dock-build .go"), says(stripText, "before its first step"), visible(".source .bad"))
			b.Started(func(x *webtest.Build) { many(x) })
			shot("many", click("#dock-build .go"), until(`document.querySelectorAll("#dock-build .step").length > 60`))
			shot("debug", do(`[...document.querySelectorAll("#dock-build .step")].find((s) => s.checkVisibility() && s.classList.contains("is-succeeded")).click()`), click(".detail .acts button"), visible(".tab.on"), shows("root@debian"))
		})
	}
	for _, f := range faults() {
		t.Error(f)
	}
}

// many is a build with many stages and long lines.
func many(x *webtest.Build) {
	for i := range 9 {
		before := []string{}
		for j := range 8 {
			id := fmt.Sprintf("sha256:%d-%d", i, j)
			if j == 7 && i > 0 {
				before = append(before, fmt.Sprintf("sha256:%d-7", i-1))
			}
			state := []string{"cached", "succeeded", "succeeded", "running", "waiting"}[min(4, (i+j)/3)]
			x.Step(id, fields{
				"stage": fmt.Sprintf("a-stage-with-a-long-name-%d", i), "line": i*10 + j + 1, "end_line": i*10 + j + 1, "inputs": before, "state": state, "duration_ms": 100 * j, "size": j << 20,
				"instruction": fmt.Sprintf("RUN --mount=type=cache,target=/root/.cache apt-get install -y --no-install-recommends package-%d-%d", i, j), "started_at": time.Now().UTC(),
			})
			before = []string{id}
		}
	}
}
