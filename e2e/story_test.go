package e2e_test

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// importGo gives all sessions of the server an image golang:1.26: BusyBox, and the Go that this test is made with. No registry is
// reached here; on Docker Hub it is a Debian.
func importGo(t *testing.T, s *server) {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "env", "GOROOT").Output()
	must(t, err)
	id := string(s.open("debian").id)
	defer s.berth(nil, "rm", id)
	archive := filepath.Join(t.TempDir(), "golang.tar")
	for _, args := range [][]string{{"create", "--name", "root", "busybox"}, {"export", "-o", archive, "root"}} {
		if got := s.berth(nil, append([]string{"docker", id, "--"}, args...)...); got.code != 0 {
			t.Fatalf("docker %v: %+v", args, got)
		}
	}
	tar := exec.CommandContext(t.Context(), "tar", "-C", strings.TrimSpace(string(out)), "-rf", archive, "--owner=0", "--group=0", "--mode=a+rX,u+w",
		"--transform=s,^\\.,usr/local/go,", "--exclude=./src/cmd", "--exclude=testdata", "--exclude=*_test.go", "./bin", "./pkg", "./src", "./VERSION", "./go.env")
	if out, err := tar.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if got := s.berth(nil, "image", "import", "--rootfs", "--name", "golang:1.26", "--cmd", "sh", "--env", "PATH=/usr/local/go/bin:/usr/bin:/bin",
		"--env", "GOTOOLCHAIN=local", "--env", "GOPROXY=off", "--env", "CGO_ENABLED=0", archive); got.code != 0 {
		t.Fatalf("%+v", got)
	}
	t.Cleanup(func() { s.berth(nil, "image", "rm", "golang:1.26") })
}

const (
	storyModule = "module example.org/hello\n\ngo 1.26\n"
	storyMain   = `package main

import (
	"bufio"
	"fmt"
	"net"
)

func main() {
	l, err := net.Listen("tcp", ":8080")
	if err != nil {
		panic(err)
	}
	for {
		c, err := l.Accept()
		if err != nil {
			panic(err)
		}
		bufio.NewReader(c).ReadString('\n')
		fmt.Fprint(c, "HTTP/1.0 200 OK\r\n\r\nHello from a container!")
		c.Close()
	}
}
`
	storyDockerfile = `FROM golang:1.26 as build
WORKDIR /src
COPY go.mod ./
RUN go mod download
COPY . .
RUN --mount=type=cache,target=/root/.cache go build -o /hello .

FROM debian
RUN head -c 20000000 /dev/urandom > /var/cache/junk
RUN rm /var/cache/junk
COPY --from=build /hello /usr/local/bin/
EXPOSE 8080
CMD ["hello"]
`
)

// write makes a file of the folder app in the tree, and writes it in the editor.
func write(name, content string) step {
	return chromedp.Steps(inMenu("app", "New file"), nameIt(name), until(`document.querySelector(".tab.on .tab-title").textContent === "`+name+`"`),
		visible(".document:not([hidden]) .cm-content"), insert(content), unsaved(true), ctrl("s"), unsaved(false))
}

// replace changes words of the file that is open, and saves it.
func replace(old, with string) step {
	return chromedp.Steps(ctrl("f"), until(`document.querySelector(".cm-search [name=search]")`),
		script(fmt.Sprintf(`for (const [n, v] of [["search", %q], ["replace", %q]]) { const i = document.querySelector(".cm-search [name=" + n + "]"); i.value = v; i.dispatchEvent(new Event("change", {bubbles: true})); i.dispatchEvent(new KeyboardEvent("keyup", {bubbles: true})) }`, old, with)),
		script(`document.querySelector(".cm-search [name=replaceAll]").click()`), chromedp.KeyEvent(kb.Escape), unsaved(true), ctrl("s"), unsaved(false))
}

func openTab(title string) step {
	return chromedp.Steps(script(fmt.Sprintf(`[...document.querySelectorAll(".tab.of-file")].find((t) => t.innerText.includes(%q)).querySelector("[role=tab]").click()`, title)),
		visible(".document:not([hidden]) .cm-content"))
}

const strip = `document.querySelector("#dock-build .strip").innerText`

func buildSays(words string) step {
	return until(fmt.Sprintf(`%s.includes(%q)`, strip, words))
}

// TestStory is a tutorial's multi-stage Go example in Chromium: written, linted, built, broken, looked at where it broke, mended,
// built from the cache, run, opened, looked into, and made smaller.
func TestStory(t *testing.T) {
	if runtime.GOARCH != "amd64" && runtime.GOARCH != "arm64" {
		t.Skip("there is no sandbox for this architecture")
	}
	s := newServer(t, dockerEnvironments)
	s.start()
	importGo(t, s)
	b := newBrowser(t)
	b.do("start", look("light", 1440, 900), chromedp.Navigate(s.url+"/healthz"), script(`localStorage.setItem("berth.renderer", "dom"); localStorage.setItem("berth.dock-height", "430")`),
		chromedp.Navigate(s.url+"/"), click(`button[value="debian"]`), visible(".xterm-rows"), shows("root@debian"))
	b.do("write", types("mkdir app; cd app; clear\r"), until(treeRow("app")), openRow("app"), until(treeRow("app")+`.getAttribute("aria-expanded") === "true"`),
		write("go.mod", storyModule), write("main.go", storyMain), write("Dockerfile", storyDockerfile))
	b.do("lint", until(`document.querySelector(".document:not([hidden]) .cm-lintRange-warning")`))
	b.picture("story-1-lint")
	b.do("build", ctrl("\r"), until(`document.querySelector("#dock-build .step")`))
	b.picture("story-2-building")
	b.long("built", buildSays("built in"))
	b.picture("story-3-built")
	b.do("break it", openTab("main.go"), replace("fmt.Fprint(", "fmt.Fprin("), openTab("Dockerfile"), ctrl("\r"))
	b.long("it says where and why", buildSays("failed after"), until(`document.querySelector("#dock-build .broke").innerText.includes("go build -o /hello .")`),
		until(`document.querySelector("#dock-build .steplog").innerText.includes("undefined: fmt.Fprin")`), until(marked("failed", 6)))
	b.picture("story-4-broken")
	b.do("debug it", press("#dock-build .detail button", "debug here"), until(`document.querySelector(".tab.on").innerText.includes("debug")`), shows("/src #"),
		types("go version; pwd; ls\r"), shows("go version go1.2"), shows("main.go"))
	b.picture("story-5-debug")
	b.do("mend it", openTab("main.go"), replace("fmt.Fprin(", "fmt.Fprint("), openTab("Dockerfile"), ctrl("\r"))
	b.long("built, what has not changed from the cache", buildSays("built in"), buildSays("cached"), until(marked("cached", 4)))
	b.picture("story-6-cached")
	b.do("run it", press("#dock-build .strip button", "run it"), shows("docker run -it --rm -P app"), types("\r"))
	b.do("its port", until(`document.querySelector("#ports a")`))
	b.picture("story-7-running")
	session, port := b.eval("location.href"), b.eval(`document.querySelector("#ports a").href`)
	b.do("open it", chromedp.Navigate(port), until(`document.body?.innerText.includes("Hello from a container!")`), chromedp.Navigate(session), visible(".xterm-rows"))
	b.do("look inside", script(`document.dispatchEvent(new CustomEvent("berth:open-panel", {detail: {panel: "build"}}))`), buildSays("built in"), press("#dock-build .strip button", "inspect"), until(`document.querySelector(".inspector h2").textContent === "app:latest"`), until(`document.querySelector(".inspect-facts")?.textContent.match(/wasted 19 MB/)`),
		until(`[...document.querySelectorAll(".inspector .step")].some((r) => r.innerText.includes("head -c 20000000"))`))
	b.picture("story-8-layers")
	b.do("what would make it smaller", click(".tab-smaller"), until(`document.querySelector(".advice").innerText.includes("/var/cache/junk")`))
	b.picture("story-9-waste")
	b.do("without the waste", openTab("Dockerfile"), replace("RUN head -c 20000000 /dev/urandom > /var/cache/junk", ""), replace("RUN rm /var/cache/junk", ""), ctrl("\r"), until(`document.querySelectorAll("#dock-build .builds li").length === 4`))
	b.long("built again", until(`document.querySelector("#dock-build .builds li").innerText.includes("s") && !document.querySelector("#dock-build .strip.is-running")`), buildSays("built in"))
	b.do("compare", script(`document.querySelector("#dock-build .builds li:nth-child(2) [aria-label^=Compare]").click()`), until(`document.querySelector(".verdict")?.innerText.includes("19 MB smaller")`))
	b.picture("story-10-compared")
	b.do("look inside again", press("#dock-build .strip button", "inspect"), until(`document.querySelector(".inspect-facts") && !document.querySelector(".inspect-facts").textContent.match(/wasted [0-9]+ MB/)`))
	b.picture("story-11-mended")
	close(b.faults)
	for f := range b.faults {
		t.Error("script: ", f)
	}
}

// press presses the button of those that says so, when it can be pressed.
func press(selector, label string) step {
	at := fmt.Sprintf(`[...document.querySelectorAll(%q)].find((b) => b.checkVisibility() && !b.disabled && b.textContent === %q)`, selector, label)
	return clickAt(at)
}

// marked is true where the editor's gutter marks a line so.
func marked(kind string, line int) string {
	return fmt.Sprintf(`[...document.querySelectorAll(".document:not([hidden]) .build-gutter .cm-gutterElement")].some((g) => g.querySelector(".build-mark.%s") && Math.abs(g.getBoundingClientRect().top - document.querySelectorAll(".document:not([hidden]) .cm-line")[%d].getBoundingClientRect().top) < 4)`, kind, line-1)
}
