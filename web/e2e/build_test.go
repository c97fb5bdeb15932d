package e2e_test

import (
	"context"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"berth/sessions"
	"berth/web/webtest"
)

const builtDockerfile = `# syntax=docker/dockerfile:1
FROM golang:1.26 AS build
WORKDIR /src
COPY go.mod ./
RUN go mod download
COPY . .
RUN go build -o /app .

FROM debian:bookworm-slim AS base
RUN apt-get update && apt-get install -y ca-certificates

FROM base
COPY --from=build /app /usr/local/bin/app
CMD ["app"]
`

// plan is what BuildKit makes of it: id, stage, instruction, line, inputs.
var plan = []struct {
	id, stage, does string
	line            int
	inputs          []string
}{
	{"sha256:b1", "build", "FROM docker.io/library/golang:1.26@sha256:" + strings.Repeat("f", 64), 2, nil},
	{"sha256:a1", "base", "FROM docker.io/library/debian:bookworm-slim", 9, nil},
	{"sha256:b2", "build", "WORKDIR /src", 3, []string{"sha256:b1"}},
	{"sha256:b3", "build", "COPY go.mod ./", 4, []string{"sha256:b2", "sha256:i2"}},
	{"sha256:b4", "build", "RUN go mod download", 5, []string{"sha256:b3"}},
	{"sha256:b5", "build", "COPY . .", 6, []string{"sha256:b4", "sha256:i2"}},
	{"sha256:b6", "build", "RUN go build -o /app .", 7, []string{"sha256:b5"}},
	{"sha256:a2", "base", "RUN apt-get update && apt-get install -y ca-certificates", 10, []string{"sha256:a1"}},
	{"sha256:c1", "stage-2", "COPY --from=build /app /usr/local/bin/app", 13, []string{"sha256:a2", "sha256:b6"}},
}

type fields = map[string]any

// begin tells the page of all steps, the internal ones done.
func begin(x *webtest.Build) {
	for i, name := range []string{"[internal] load build definition from Dockerfile", "[internal] load build context", "[internal] load metadata for docker.io/library/golang:1.26"} {
		x.Step(fmt.Sprintf("sha256:i%d", i+1), fields{"name": name, "internal": true, "state": "succeeded", "duration_ms": 40 + i*120})
	}
	for i, p := range plan {
		x.Step(p.id, fields{"name": fmt.Sprintf("[%s %d/6] %s", p.stage, i, p.does), "stage": p.stage, "instruction": p.does, "line": p.line, "end_line": p.line, "inputs": p.inputs})
	}
}

func runs(x *webtest.Build, id string) {
	x.Step("sha256:"+id, fields{"state": "running", "started_at": time.Now().UTC().Add(-1200 * time.Millisecond)})
}

// did ends a step: after that long, or from the cache where that is 0.
func did(x *webtest.Build, id string, ms, size int) {
	state := "succeeded"
	if ms == 0 {
		state = "cached"
	}
	x.Step("sha256:"+id, fields{"state": state, "duration_ms": ms, "size": size, "ended_at": time.Now().UTC(), "progress": []any{}})
}

func export(x *webtest.Build, size int, more ...fields) {
	x.Step("sha256:e1", fields{"name": "exporting to image", "instruction": "exporting to image", "state": "succeeded", "duration_ms": 300})
	end := fields{"image": "sha256:" + id64("7"), "image_size": size}
	for _, m := range more {
		maps.Copy(end, m)
	}
	x.End("succeeded", end)
}

// succeed is a whole build; cached: the steps before the last COPY come from the cache.
func succeed(x *webtest.Build, cached bool, more ...fields) {
	begin(x)
	long := 21_400
	if cached {
		long = 0
	}
	did(x, "b1", 0, 300<<20)
	did(x, "a1", 0, 74<<20)
	did(x, "b2", 0, 0)
	did(x, "b3", 0, 80)
	did(x, "b4", long, 120<<20)
	did(x, "a2", long/5, 9<<20)
	did(x, "b5", 40, 4000)
	x.Log("sha256:b6", 2, "go: \x1b[32mbuilding\x1b[0m example.org/app\n")
	did(x, "b6", 3100, 7<<20)
	did(x, "c1", 60, 7<<20)
	export(x, 90<<20, more...)
}

const brokeMessage = `failed to solve: process "/bin/sh -c go build -o /app ." did not complete successfully: exit code: 1`

func fail(x *webtest.Build) {
	begin(x)
	for _, id := range []string{"b1", "a1", "b2", "b3", "b4", "a2"} {
		did(x, id, 0, 1<<20)
	}
	did(x, "b5", 40, 4000)
	runs(x, "b6")
	x.Log("sha256:b6", 2, "# example.org/app\n\x1b[1;31m./main.go:12:2: undefined: fmt.Printl\x1b[0m\n")
	x.Step("sha256:b6", fields{"state": "failed", "duration_ms": 900, "error": brokeMessage})
	x.End("failed", fields{"error": fields{"message": brokeMessage, "step": "sha256:b6", "line": 7, "end_line": 7, "exit_code": 1}})
}

func (s *site) builds(id sessions.ID) *webtest.Builds { return s.Sandbox(id).Builds() }

// step is one box of the graph, or one entry of the list, by what it does.
func box(does string) string {
	return fmt.Sprintf(`[...document.querySelectorAll("#dock-build .step")].find((s) => s.checkVisibility() && s.title === %q)`, does)
}

// chooseStep selects a step once it is there.
func chooseStep(does string) step {
	return chromedp.Steps(until(box(does)), do(box(does)+`.click()`))
}

func boxIs(does, class string, says ...string) step {
	all := fmt.Sprintf(`%s?.matches(%q)`, box(does), ".is-"+class+", ."+class)
	for _, w := range says {
		all += fmt.Sprintf(` && %s.innerText.includes(%q)`, box(does), w)
	}
	return until(all)
}

const (
	stripText = `document.querySelector("#dock-build .strip").innerText`
	logText   = `[...document.querySelectorAll("#dock-build .steplog .l")].map((l) => l.textContent).join("\n")`
)

func says(expression, words string) step {
	return until(fmt.Sprintf(`(%s).includes(%q)`, expression, words))
}

// listen notes the page's own events of that name in window.told.
func listen(names ...string) step {
	return do(fmt.Sprintf(`window.told = []; for (const n of %q.split(" ")) document.addEventListener(n, (e) => told.push({ ...e.detail, event: n }))`, strings.Join(names, " ")))
}

func told(js string) step { return until("window.told.some((e) => " + js + ")") }

func (s *site) withDockerfile(t *testing.T, ctx context.Context) *webtest.Builds {
	t.Helper()
	b := s.builds(s.open(t, ctx))
	b.PutFile("/root/app/Dockerfile", builtDockerfile)
	b.PutFile("/root/app/main.go", "package main\n")
	return b
}

func askedBuild(b *webtest.Builds, begin string, times int) step {
	return chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
		for {
			n := 0
			for _, a := range b.Asked() {
				if strings.HasPrefix(a, begin) {
					n++
				}
			}
			if n >= times {
				return nil
			}
			select {
			case <-time.After(10 * time.Millisecond):
			case <-ctx.Done():
				return fmt.Errorf("asked %s %d times, not %d: %w", begin, n, times, ctx.Err())
			}
		}
	})
}

func TestBuildIsLive(t *testing.T) {
	s, ctx := newSite(t), newBrowser(t)
	run(t, ctx, "a screen", look(false, 1280, 800))
	faults := watch(t, ctx)
	b := s.withDockerfile(t, ctx)
	var x *webtest.Build
	b.Started(func(n *webtest.Build) { x = n })
	run(t, ctx, "the form knows the Dockerfile", listen("berth:build-marks", "berth:inspect-image", "berth:open-file"), panel("build"),
		until(`document.getElementById("build-context").value === "/root/app" && document.getElementById("build-tag").value === "app"`),
		until(`[...document.getElementById("build-target").options].map((o) => o.value).join() === ",build,base"`))
	run(t, ctx, "build", click("#dock-build .go"), askedBuild(b, "POST builds", 1), says(stripText, "app"), visible(".strip .danger"))
	begin(x)
	did(x, "b1", 0, 300<<20)
	did(x, "b2", 0, 0)
	x.Step("sha256:a1", fields{"state": "running", "started_at": time.Now().UTC(), "progress": []fields{
		{"name": "extracting sha256:2d35ebdb57d9", "current": 20 << 20, "total": 40 << 20}, {"name": "sha256:77fc4a2ab1de", "current": 0, "total": 0},
	}})
	runs(x, "b4")
	run(t, ctx, "steps as a graph", boxIs("FROM golang:1.26", "cached", "cached", "300 MB"), boxIs("RUN go mod download", "running", " s"),
		boxIs("RUN go build -o /app .", "waiting"), says(stripText, "2 cached"), boxIs("FROM debian:bookworm-slim", "running"),
		until(`document.querySelectorAll("#dock-build .edge").length === 8`), until(`[...document.querySelectorAll(".stages .stage")].map((s) => s.textContent).join() === "build,base,stage-2"`),
		says(`document.querySelector(".fold").innerText`, "internal: 3 steps"))
	first, err := chromedp.Run(ctx, chromedp.Evaluate[string](box("RUN go mod download")+`.querySelector(".time").textContent`))
	if err != nil {
		t.Fatal(err)
	}
	run(t, ctx, "time goes on", until(fmt.Sprintf(`%s.querySelector(".time").textContent !== %q`, box("RUN go mod download"), first)))
	run(t, ctx, "progress of a pull", chooseStep("FROM debian:bookworm-slim"), says(`document.querySelector(".pulling").innerText`, "20 MB of 40 MB"), until(`document.querySelector(".pulling progress").value === 20 * 2**20`))
	x.Log("sha256:b4", 2, "go: downloading example.org/a v1.0.0\n10%\r55%\r")
	run(t, ctx, "the log of the step", chooseStep("RUN go mod download"), says(logText, "downloading example.org/a v1.0.0\n55%"))
	x.Log("sha256:b4", 2, "100%\ndone in \x1b[32mgreen\x1b[0m\n")
	run(t, ctx, "carriage returns and colours", until(logText+`.endsWith("v1.0.0\n100%\ndone in green")`), until(`document.querySelector(".steplog .fg-2").textContent === "green"`))
	run(t, ctx, "marks for the editor", told(`e.event === "berth:build-marks" && e.path === "/root/app/Dockerfile" && e.marks.some((m) => m.line === 5 && m.kind === "running") && e.marks.some((m) => m.line === 2 && m.kind === "cached")`))
	x.Warn(fields{"rule": "StageNameCasing", "message": "Stage name 'Build' should be lowercase", "detail": "", "url": "https://docs.docker.com/go/dockerfile/rule/stage-name-casing/", "line": 2, "end_line": 2})
	run(t, ctx, "warnings", click(".strip .warn"), says(`document.querySelector(".warnings").innerText`, "should be lowercase"), click(".warnings .texty"), told(`e.event === "berth:open-file" && e.line === 2`), click(".strip .warn"))
	for _, id := range []string{"b3", "b4", "b5", "b6", "a1", "a2", "c1"} {
		did(x, id, 1500, 5<<20)
	}
	export(x, 90<<20)
	run(t, ctx, "done", says(stripText, "built in"), says(stripText, "90 MB"), says(stripText, id64("7")[:12]), boxIs("exporting to image", "succeeded"))
	run(t, ctx, "look inside", click(`[aria-label^="Look inside the image"]`), told(`e.event === "berth:inspect-image" && e.image === "sha256:`+id64("7")+`"`))
	run(t, ctx, "run it, typed only", panel("build"), press("Type docker run -it --rm -P app into the shell"), shows("docker run -it --rm -P app"))
	if now, most := b.Streams(); now != 0 || most != 1 {
		t.Errorf("%d streams are open after the build, %d were at once", now, most)
	}
	for _, f := range faults() {
		t.Error(f)
	}
}

func TestBuildByKeyboard(t *testing.T) {
	s, ctx := newSite(t), newBrowser(t)
	run(t, ctx, "a screen", look(false, 1280, 800))
	faults := watch(t, ctx)
	b := s.withDockerfile(t, ctx)
	succeed(b.New(nil), false)
	run(t, ctx, "open", panel("build"), boxIs("RUN go mod download", "succeeded", "21.4 s"), do(box("RUN go mod download")+`.focus()`))
	at := func(does string) step { return until(`document.activeElement === ` + box(does)) }
	run(t, ctx, "arrows", chromedp.KeyEvent(kb.ArrowDown), at("COPY . ."), chromedp.KeyEvent(kb.ArrowDown), at("RUN go build -o /app ."), chromedp.KeyEvent(kb.ArrowRight), at("RUN apt-get update && apt-get install -y ca-certificates"),
		chromedp.KeyEvent(kb.ArrowUp), at("FROM debian:bookworm-slim"), chromedp.KeyEvent(kb.ArrowRight), at("COPY --from=build /app /usr/local/bin/app"), chromedp.KeyEvent(kb.ArrowLeft), at("RUN apt-get update && apt-get install -y ca-certificates"))
	run(t, ctx, "enter selects", do(box("RUN go build -o /app .")+`.focus()`), keys("\r"), boxIs("RUN go build -o /app .", "selected"), says(logText, "go: building example.org/app"),
		keys("\r"), until(`!document.querySelector(".side-pane").checkVisibility()`), at("RUN go build -o /app ."), keys("\r"), visible(".steplog"), click(`[aria-label="Fold this step"]`), at("RUN go build -o /app ."), keys("\r"), visible(".steplog"))
	ctrl := chromedp.KeyModifiers(chromedp.ModifierCtrl)
	run(t, ctx, "ctrl-enter in the form", do(`document.getElementById("build-tag").focus()`), chromedp.KeyEvent("\r", ctrl), askedBuild(b, "POST builds", 1), visible("#dock-build .strip .danger"))
	run(t, ctx, "cancel by the palette", chromedp.KeyEvent("k", ctrl), visible("dialog.palette"), keys("cancel the build\r"), says(stripText, "cancelled after"))
	run(t, ctx, "history by the palette", chromedp.KeyEvent("k", ctrl), visible("dialog.palette"), keys("builds of this\r"), until(`document.activeElement.matches(".build")`))
	for _, f := range faults() {
		t.Error(f)
	}
}

func TestBuildFailsAndIsDebugged(t *testing.T) {
	s, ctx := newSite(t), newBrowser(t)
	run(t, ctx, "a screen", look(false, 1280, 800))
	faults := watch(t, ctx)
	id := s.open(t, ctx)
	b := s.builds(id)
	b.PutFile("/root/web app/docker/Dockerfile.dev", builtDockerfile)
	b.Started(fail)
	run(t, ctx, "an editor asks for it", listen("berth:open-file", "berth:open-terminal", "berth:build-marks"), do(`document.dispatchEvent(new CustomEvent("berth:build", { detail: { path: "/root/web app/docker/Dockerfile.dev" } }))`),
		says(stripText, "failed after"), says(stripText, "at RUN go build -o /app ."), until(`document.getElementById("build-tag").value === "docker"`))
	run(t, ctx, "why", says(`document.querySelector(".broke").innerText`, "The command ended with exit status 1."), until(`document.querySelector(".source .bad code").textContent === "RUN go build -o /app ."`),
		says(logText, "undefined: fmt.Printl"), boxIs("RUN go build -o /app .", "failed", "failed"), click(".source .bad button"), told(`e.event === "berth:open-file" && e.line === 7 && e.path === "/root/web app/docker/Dockerfile.dev"`),
		told(`e.event === "berth:build-marks" && e.marks.some((m) => m.kind === "failed" && m.line === 7)`))
	run(t, ctx, "debug here", click(".detail .debug"), told(`e.event === "berth:open-terminal" && e.name === "debug-1" && e.title === "RUN go build -o /app ."`),
		until(`document.querySelector(".tab.on .tab-title").textContent.startsWith("debug-1 RUN go build")`), shows("root@debian"), typed("echo here\r"), until(screenHas("here", 2)))
	if asked := strings.Join(b.Asked(), "\n"); !strings.Contains(asked, "POST builds/b1/steps/sha256%3Ab6/debug") {
		t.Errorf("asked %s", asked)
	}
	run(t, ctx, "its end offers no restart", typed("exit 3\r"), says(`document.querySelector(".pane:not([hidden]) .foot").innerText`, "Ended with exit status 3."),
		until(`document.querySelector(".pane:not([hidden]) .foot button").textContent === "Close"`), typed("\r"), until(`document.querySelectorAll(".tab:not(.of-file)").length === 1`))
	run(t, ctx, "a shell after a finished step", chooseStep("COPY . ."), until(`document.querySelector(".detail .acts button").textContent === "open a shell here"`), click(`.detail .acts button`), until(`document.querySelector(".tab.on .tab-title").textContent.startsWith("debug-2 COPY")`))
	run(t, ctx, "it is there after a reload", chromedp.Reload(), until(`[...document.querySelectorAll(".tab-title")].some((t) => t.textContent.startsWith("debug-2"))`))
	b.Refuse("This machine has no room for another build.")
	run(t, ctx, "refused in a sentence", click("#dock-build .go"), says(`document.querySelector(".build-form .hint").innerText`, "no room for another build"),
		until(`document.querySelector("#dock-build .step.selected") || document.querySelector("#dock-build .step").click()`), click(".detail .acts button"), says(`document.querySelector(".refused").innerText`, "no room for another build"))
	for _, f := range faults() {
		t.Error(f)
	}
}

func TestBuildsOfTheShell(t *testing.T) {
	s, ctx := newSite(t), newBrowser(t)
	faults := watch(t, ctx)
	b := s.withDockerfile(t, ctx)
	x := b.New(fields{"source": "docker", "tags": []string{"from-shell:latest"}})
	begin(x)
	run(t, ctx, "the tab says that one runs", says(`document.querySelector("#dock-tab-build .count").textContent`, "1"), until(`document.getElementById("dock-body").hidden`))
	if now, _ := b.Streams(); now != 0 {
		t.Errorf("%d streams for a panel that nobody has opened", now)
	}
	run(t, ctx, "it is shown by itself", panel("build"), says(stripText, "from-shell"), boxIs("RUN go mod download", "waiting"))
	run(t, ctx, "the panel is hidden, the build goes on", press("Fold the panel"))
	x.Step("sha256:b1", fields{"state": "cached"})
	succeedRest(x)
	run(t, ctx, "the tab is quiet again", until(`document.querySelector("#dock-tab-build .count").textContent === ""`))
	run(t, ctx, "and it is done", panel("build"), says(stripText, "built in"), says(`document.querySelector(".builds").innerText`, "shell"))
	y := b.New(fields{"source": "docker", "tags": []string{"second"}})
	begin(y)
	run(t, ctx, "the next one appears while the panel is open", says(stripText, "second"), until(`document.querySelectorAll(".builds li").length === 2`))
	y.End("cancelled", nil)
	for _, f := range faults() {
		t.Error(f)
	}
}

func succeedRest(x *webtest.Build) {
	for _, p := range plan[1:] {
		did(x, strings.TrimPrefix(p.id, "sha256:"), 100, 10)
	}
	export(x, 10<<20)
}

func TestBuildHistoryAndCompare(t *testing.T) {
	s, ctx := newSite(t), newBrowser(t)
	run(t, ctx, "a screen", look(false, 1280, 800))
	faults := watch(t, ctx)
	b := s.withDockerfile(t, ctx)
	old := time.Now().UTC().Add(-10 * time.Minute)
	x := b.New(fields{"started_at": old, "duration_ms": 30_000})
	succeed(x, false, fields{"ended_at": old.Add(30 * time.Second), "image_size": 120 << 20})
	y := b.New(fields{"started_at": old.Add(time.Minute)})
	succeed(y, true, fields{"ended_at": old.Add(64 * time.Second)})
	fail(b.New(fields{"tags": []string{"broken"}}))
	run(t, ctx, "history", panel("build"), until(`document.querySelectorAll(".builds li").length === 3`), says(stripText, "broken failed"))
	run(t, ctx, "an earlier one with graph and log", click(`.builds li:nth-child(2) .build`), says(stripText, "built in 4.0 s"), chooseStep("RUN go build -o /app ."), says(logText, "building example.org/app"), boxIs("RUN go mod download", "cached"))
	run(t, ctx, "compare", do(`document.querySelector(".builds li:nth-child(3) [aria-label^=Compare]").click()`), visible(".compared"),
		says(`document.querySelector(".verdict").innerText`, "The newer build took 4.0 s, 26.0 s less than the older one (30.0 s)."), says(`document.querySelector(".verdict").innerText`, "“RUN go mod download” came from the cache this time, as did 1 other"),
		says(`document.querySelector(".verdict").innerText`, "Its image is 30 MB smaller."), until(`document.querySelectorAll(".compared tbody tr").length === 10`), says(`document.querySelector(".compared tfoot").innerText`, "30.0 s"))
	run(t, ctx, "with one that broke", chromedp.KeyEvent("\x1b"), until(`!document.querySelector(".compare").checkVisibility()`), do(`document.querySelector(".builds li:nth-child(1) [aria-label^=Compare]").click()`), visible(".compared"))
	if _, most := b.Streams(); most != 1 {
		t.Errorf("%d streams at once", most)
	}
	run(t, ctx, "forget", chromedp.KeyEvent("\x1b"), do(`document.querySelector(".builds li:nth-child(1) [aria-label^=Forget]").click()`), until(`document.querySelectorAll(".builds li").length === 2`), askedBuild(b, "DELETE builds/b3", 1))
	for _, f := range faults() {
		t.Error(f)
	}
}

// A server that restarts in the middle: the page goes on from where it was.
func TestBuildComesBack(t *testing.T) {
	s, ctx := newSite(t), newBrowser(t)
	id := s.open(t, ctx)
	b, machine := s.builds(id), s.Sandbox(id)
	b.PutFile("/root/app/Dockerfile", builtDockerfile)
	x := b.New(nil)
	begin(x)
	runs(x, "b4")
	x.Log("sha256:b4", 2, "one\ntwo\n")
	run(t, ctx, "the log", panel("build"), do("0"), until(logText+` === "one\ntwo"`))
	machine.Refuse(true)
	machine.Cut()
	run(t, ctx, "it says so", says(stripText, "reconnecting"))
	x.Log("sha256:b4", 2, "three\nfo")
	machine.Refuse(false)
	run(t, ctx, "nothing is lost", until(logText+` === "one\ntwo\nthree\nfo"`), until(`!`+stripText+`.includes("reconnecting")`))
	for i := range 3 {
		machine.Cut()
		x.Log("sha256:b4", 2, fmt.Sprintf("ur\n%d", i))
		run(t, ctx, "nor twice", says(logText, fmt.Sprintf("ur\n%d", i)))
	}
	run(t, ctx, "all of it, once", until(logText+` === "one\ntwo\nthree\nfour\n0ur\n1ur\n2"`))
	after := ""
	for _, a := range b.Asked() {
		if strings.Contains(a, "/events") {
			after += a + "\n"
		}
	}
	if strings.Count(after, "after=0") != 1 {
		t.Errorf("the page began anew: %s", after)
	}
	succeedRest(x)
	run(t, ctx, "and ends", says(stripText, "built in"))
	run(t, ctx, "a reload shows it again", chromedp.Reload(), says(stripText, "built in"), do(`0`), boxIs("RUN go mod download", "succeeded"))
}

func TestHostileBuild(t *testing.T) {
	s, ctx := newSite(t), newBrowser(t)
	run(t, ctx, "a screen", look(false, 1280, 800))
	faults := watch(t, ctx)
	b := s.withDockerfile(t, ctx)
	const bad = `"><img src=x onerror=alert(1)>$(touch /x);'` + "\u202e`id`\r\n\x1b]0;x\x07\x1b[2J"
	x := b.New(fields{"tags": []any{bad, 7}, "context": bad, "dockerfile": bad, "target": bad, "totals": bad, "image": bad, "warnings": []any{}})
	x.Step(bad, fields{"name": bad, "stage": bad, "instruction": bad, "inputs": []any{bad, "sha256:none", 7}, "line": -4, "state": bad, "size": "x", "progress": []any{nil, 7, fields{"name": bad, "current": -5, "total": 1}}})
	x.Step("sha256:x", fields{"name": "[ 1/2] x", "stage": nil, "instruction": nil, "inputs": nil, "state": "running", "started_at": bad})
	// Two steps that need each other.
	x.Step("sha256:y", fields{"stage": "s", "inputs": []string{"sha256:z"}, "instruction": "RUN y", "state": "running", "started_at": time.Now()})
	x.Step("sha256:z", fields{"stage": "s", "inputs": []string{"sha256:y"}, "instruction": "RUN z"})
	x.Warn(fields{"message": bad, "url": "javascript:alert(1)", "rule": bad, "line": 1})
	x.Log("sha256:y", 1, "\x1b[31m"+bad+"\x1b]8;;javascript:alert(1)\x07link\x1b[0m\u2028two\n")
	run(t, ctx, "it is text", panel("build"), chooseStep("RUN y"), says(logText, `<img src=x onerror=alert(1)>`), click(".strip .warn"), until(`document.querySelectorAll("#dock-build .step").length === 4`), fits(),
		until(`!document.querySelector("#dock-build img, #dock-build script")`), until(`![...document.querySelectorAll("#dock-build a")].some((a) => a.protocol !== "http:")`))
	line := strings.Repeat("x", 199) + "\n"
	block := strings.Repeat(line, 256) // 50 KB
	for range 200 {
		x.Log("sha256:y", 1, block)
	}
	x.Log("sha256:y", 1, strings.Repeat("y", 3<<20)+"\nthe last\n")
	run(t, ctx, "ten megabytes of it", until(logText+`.endsWith("the last")`), until(`document.querySelectorAll(".steplog .l").length < 200`))
	run(t, ctx, "reading further up stays there", do(`document.querySelector(".steplog").scrollTop = 0`), says(logText, "onerror"), visible(".newest"))
	x.Log("sha256:y", 1, "one more\n")
	run(t, ctx, "and back", says(logText, "onerror"), click("#dock-build .newest"), until(logText+`.endsWith("one more")`))
	run(t, ctx, "the shell answers meanwhile", typed("echo alive\r"), until(screenHas("alive", 2)))
	x.End("failed", fields{"error": fields{"message": bad, "step": bad, "line": 99999, "end_line": -1, "exit_code": bad}})
	run(t, ctx, "broken", says(stripText, "failed after"), until(`document.querySelector(".broke .said").textContent.includes("<img src=x")`), fits())
	for _, f := range faults() {
		t.Error(f)
	}
}
