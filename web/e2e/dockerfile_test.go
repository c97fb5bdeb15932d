package e2e_test

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/chromedp/chromedp/kb"
)

const dockerfile = `# syntax=docker/dockerfile:1
ARG GO=1.26
FROM golang:${GO} as Build
WORKDIR /src
COPY . .
RUN --mount=type=cache,target=/root/.cache/go-build \
    go build -o /app .

FROM scratch
MAINTAINER ada@example.org
COPY --from=build /app /app
ENV GREETING hello
CMD /app serve
`

// found is what BuildKit says of it: its messages, as of v0.34.2.
var found = map[string]any{
	"warnings": []map[string]any{
		{"rule": "StageNameCasing", "message": "Stage name 'Build' should be lowercase", "url": "https://docs.docker.com/go/dockerfile/rule/stage-name-casing/", "line": 3, "end_line": 3},
		{"rule": "FromAsCasing", "message": "'as' and 'FROM' keywords' casing do not match", "url": "https://docs.docker.com/go/dockerfile/rule/from-as-casing/", "line": 3, "end_line": 3},
		{"rule": "MaintainerDeprecated", "message": "Maintainer instruction is deprecated in favor of using label", "url": "https://docs.docker.com/go/dockerfile/rule/maintainer-deprecated/", "line": 10, "end_line": 10},
		{"rule": "LegacyKeyValueFormat", "message": `"ENV key=value" should be used instead of legacy "ENV key value" format`, "url": "javascript:alert(1)", "line": 12, "end_line": 12},
		{"rule": "JSONArgsRecommended", "message": "JSON arguments recommended for CMD to prevent unintended behavior related to OS signals", "url": "https://docs.docker.com/go/dockerfile/rule/json-args-recommended/", "line": 13, "end_line": 13},
	},
	"error": nil, "stages": []any{}, "args": []any{},
}

// answersCheck has the machine answer so to every look at a Dockerfile, and counts them.
func answersCheck(answer any) step {
	b, _ := json.Marshal(answer) // cannot fail
	return do(fmt.Sprintf(`{
		window.looks = 0;
		const real = window.realFetch ??= window.fetch;
		window.fetch = (url, init) => String(url).endsWith("/dockerfile") ? (window.looks++, window.looked = init.body, Promise.resolve(new Response(%q, { headers: { "Content-Type": "application/json" } }))) : real(url, init);
	}`, b))
}

// TestDockerfile edits one: lint, what to do about it, completion, what the build said of its lines, ctrl-enter.
func TestDockerfile(t *testing.T) {
	s, ctx := newSite(t), newBrowser(t)
	faults := watch(t, ctx)
	run(t, ctx, "window", look(false, 1280, 800))
	m := s.machine(t, s.open(t, ctx))
	m.put("root/app/Dockerfile", dockerfile)
	m.put("root/app/main.go", "package main\n")
	m.put("root/compose.yaml", "services:\n  web:\n    image: nginx # with a comment\n    ports: [\"8080:80\"]\n")
	run(t, ctx, "open", answersCheck(found), openRow("app"), openRow("Dockerfile"), editsSome("FROM golang"), until(`document.querySelectorAll(".cm-lintRange-warning").length >= 4`),
		until(`window.looked.startsWith("# syntax")`))
	picture(t, ctx, "editor-lint")
	run(t, ctx, "an explanation", do(`document.dispatchEvent(new CustomEvent("berth:open-file", { detail: { path: "/root/app/Dockerfile", line: 10 } }))`), until(`document.querySelector(".cm-activeLine").textContent.includes("MAINTAINER")`),
		click(`[title="What BuildKit's checks say"]`), visible(".cm-panel-lint"))
	run(t, ctx, "mend all", do(`window.apply = (rule) => [...document.querySelectorAll(".cm-panel-lint li")].find((l) => l.innerText.includes(rule))?.querySelector(".cm-diagnosticAction").dispatchEvent(new MouseEvent("mousedown", { bubbles: true, cancelable: true }))`),
		until(`[...document.querySelectorAll(".cm-panel-lint li")].some((l) => l.innerText.includes("LABEL") || l.innerText.includes("MAINTAINER") || l.innerText.includes("label"))`))
	picture(t, ctx, "editor-explained")
	for _, rule := range []string{"MaintainerDeprecated", "LegacyKeyValueFormat", "JSONArgsRecommended", "StageNameCasing"} {
		run(t, ctx, rule, do(fmt.Sprintf(`window.apply(%q)`, rule)))
	}
	want := `# syntax=docker/dockerfile:1
ARG GO=1.26
FROM golang:${GO} as build
WORKDIR /src
COPY . .
RUN --mount=type=cache,target=/root/.cache/go-build \
    go build -o /app .

FROM scratch
LABEL org.opencontainers.image.authors="ada@example.org"
COPY --from=build /app /app
ENV GREETING=hello
CMD ["/app", "serve"]
`
	run(t, ctx, "mended", edits(want), until(`[...document.querySelectorAll("a")].every((a) => !a.href.startsWith("javascript:"))`))
	run(t, ctx, "an error at its line", answersCheck(map[string]any{"warnings": []any{}, "error": map[string]any{"message": "unknown instruction: FRUM (did you mean FROM?)", "line": 14, "end_line": 14}}),
		chord(kb.End), insert("FRUM x"), visible(".cm-lintRange-error"), until(`document.querySelector(".cm-lintRange-error").textContent === "FRUM x"`))
	run(t, ctx, "save and build", do(`window.told = []; for (const n of ["berth:file-saved", "berth:build"]) document.addEventListener(n, (e) => window.told.push(n + " " + e.detail.path))`),
		focusEditor(), chord(kb.Enter), m.holds("root/app/Dockerfile", want+"FRUM x"), until(`window.told.join() === "berth:file-saved /root/app/Dockerfile,berth:build /root/app/Dockerfile"`))
	run(t, ctx, "what the build says", do(`document.dispatchEvent(new CustomEvent("berth:build-marks", { detail: { path: "/root/app/Dockerfile", marks: [
		{ line: 3, end_line: 3, kind: "cached", text: "FROM golang: cached" }, { line: 4, end_line: 4, kind: "cached", text: "cached" }, { line: 5, end_line: 5, kind: "ran", text: "COPY: 0.3 s, 12 KB" },
		{ line: 6, end_line: 7, kind: "failed", text: "exit code 1 after 2.1 s" }, { line: 10, end_line: 10, kind: "warning", text: "a warning" }, { line: 11, end_line: 11, kind: "running", text: "running" }, { line: 99, kind: "ran", text: "no such line" }] } }))`),
		until(`document.querySelectorAll(".document:not([hidden]) .build-gutter .build-mark").length === 7`), until(`document.querySelector(".build-mark.failed").title === "exit code 1 after 2.1 s"`), until(`document.querySelectorAll(".build-line.failed").length === 2`))
	picture(t, ctx, "editor-marks")
	run(t, ctx, "an edit clears those of its lines", do(`document.dispatchEvent(new CustomEvent("berth:open-file", { detail: { path: "/root/app/Dockerfile", line: 7, column: 5 } }))`), until(`document.querySelector(".cm-activeLine").textContent.includes("go build")`),
		insert("time "), until(`document.querySelectorAll(".build-line.failed").length === 0`), until(`document.querySelectorAll(".build-line").length === 5`))
	run(t, ctx, "cleared", do(`document.dispatchEvent(new CustomEvent("berth:build-marks", { detail: { path: "/root/app/Dockerfile", marks: [] } }))`), until(`document.querySelectorAll(".build-line, .build-mark").length === 0`))
	for _, f := range faults() {
		t.Error(f)
	}
}

// TestCompletion offers instructions, flags, stages and variables where they can stand.
func TestCompletion(t *testing.T) {
	s, ctx := newSite(t), newBrowser(t)
	faults := watch(t, ctx)
	run(t, ctx, "window", look(false, 1280, 800))
	m := s.machine(t, s.open(t, ctx))
	m.put("root/Dockerfile", "ARG GO=1\nFROM golang AS build\nFROM scratch AS Second\n")
	offers := func(label string) step {
		return until(fmt.Sprintf(`[...document.querySelectorAll(".cm-tooltip-autocomplete li")].some((l) => l.querySelector(".cm-completionLabel").textContent === %q)`, label))
	}
	run(t, ctx, "open", answersCheck(map[string]any{"warnings": []any{}}), openRow("Dockerfile"), editsSome("FROM"), chord(kb.End))
	for _, c := range []struct{ typed, offered string }{
		{"HEA", "HEALTHCHECK"},
		{"wor", "workdir"},
		{"FROM b", "build"},
		{"COPY --fr", "--from="},
		{"COPY --from=s", "Second"},
		{"RUN --mount=type=c", "type=cache"},
		{"RUN --mount=type=bind,fr", "from="},
		{"RUN --mount=type=bind,from=b", "build"},
		{"RUN echo $G", "GO"},
		{"RUN a \\\n  --mo", "--mount="},
		{"FROM sc", "scratch"},
	} {
		run(t, ctx, c.typed, keys(c.typed), offers(c.offered))
		if c.typed == "HEA" {
			picture(t, ctx, "editor-completion")
		}
		run(t, ctx, "away", keys(kb.Escape), chord("a"), keys(kb.Delete), insert("ARG GO=1\nFROM golang AS build\nFROM scratch AS Second\n"))
	}
	for _, f := range faults() {
		t.Error(f)
	}
}
