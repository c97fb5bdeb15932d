package e2e_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// fits is true where nothing is wider than the window, the page's own scrolling boxes aside.
const fits = `document.documentElement.scrollWidth <= innerWidth`

// rowsShow is true where the tree of the inspector shows a row with that text.
func rowsShow(text string) step {
	return until(fmt.Sprintf(`document.querySelector(".inspect-tree").checkVisibility() && !document.querySelector(".inspect-tree [aria-busy=true]") && [...document.querySelectorAll(".inspect-tree .row")].some((r) => r.innerText.replaceAll("\n", " ").includes(%q))`, text))
}

// pressRow presses the row of the tree with that name.
func pressRow(name string) step {
	at := fmt.Sprintf(`[...document.querySelectorAll(".inspect-tree .row")].find((r) => r.querySelector(".file-name")?.textContent.startsWith(%q))`, name)
	return chromedp.Steps(until(`document.querySelector(".inspect-tree").checkVisibility() && !document.querySelector(".inspect-tree [aria-busy=true]") && `+at), clickAt(at))
}

const largeImage = `set -e
docker create --name big busybox sh -c 'mkdir -p /many /tree; i=0; while [ $i -lt 5000 ]; do : >/many/file-$i; i=$((i+1)); done; mkdir -p "/tree/<img src=x onerror=alert(1)>"; printf "\033[31mred\033[0m\n<script>alert(1)</script>\nlast" >/tree/evil.html; dd if=/dev/zero of=/tree/binary bs=1k count=400 2>/dev/null; seq 1 90000 >/tree/long' >/dev/null
docker start -a big; docker commit -c 'ENV A=1' big large >/dev/null; docker rm big >/dev/null
`

// TestInspectorPage looks into images with a browser: layers, trees, files, advice, comparison, by mouse and by keyboard.
func TestInspectorPage(t *testing.T) {
	s := newServer(t, dockerEnvironments)
	s.start()
	b := newBrowser(t)
	b.do("first page", look("light", 1280, 800), chromedp.Navigate(s.url+"/healthz"), script(`localStorage.setItem("berth.renderer", "dom"); localStorage.setItem("berth.dock-height", "460")`),
		chromedp.Navigate(s.url+"/"), click(`button[value="debian"]`), visible(".xterm-rows"), shows("root@debian"))
	b.do("images", script(`window.made = fetch("/api/v1/sessions/" + location.pathname.slice(3) + "/exec", {method: "POST", headers: {"Content-Type": "application/json"}, body: JSON.stringify({cmd: ["sh", "-c", `+fmt.Sprintf("%q", madeOfSteps+largeImage)+`]})}).then((r) => r.json()).then((r) => (window.result = r))`),
		until(`window.result && (window.result.exit_code === 0 || (() => { throw new Error(JSON.stringify(window.result)) })())`), click("#dock-tab-images"), named("Inspect demo:latest"))
	b.do("its layers", until(`document.querySelectorAll(".step").length >= 3`), until(`document.querySelector(".inspect-facts").textContent.match(/wasted 800 KB/)`), rowsShow("app/"))
	b.picture("inspect-layers")
	b.do("a tree", pressRow("app/"), rowsShow(`new\nline`), rowsShow(`\xff`), rowsShow("link → /app/text"), rowsShow("junk"), until(fits))
	b.picture("inspect-tree")
	b.do("a file", pressRow("text"), until(`document.querySelector(".preview-text").textContent === "two two\n"`))
	b.do("back by escape", chromedp.KeyEvent("\x1b"), until(`document.activeElement.getAttribute("role") === "tree"`))
	b.do("a file that is gone", pressRow("junk"), until(`document.querySelector(".inspect-preview").innerText.includes("This is no text: 500 KB")`), until(`document.querySelector(".preview-facts").textContent.includes("removed by this layer")`), chromedp.KeyEvent("\x1b"))
	b.do("by keyboard: the layer below", script(`document.querySelector(".steps [tabindex='0']").focus()`), chromedp.KeyEvent(kb.ArrowUp), until(`document.querySelector(".step[aria-selected=true]").innerText.includes("mkdir -p /app")`), rowsShow("junk"), rowsShow("200 KB"))
	b.do("by keyboard: the bar", script(`document.querySelector(".stack [tabindex='0']").focus()`), chromedp.KeyEvent(kb.ArrowRight), until(`document.querySelector(".step[aria-selected=true]").innerText.includes("rm /app/junk")`))
	b.do("merged", named("merged up to here"), rowsShow("bin/"), rowsShow("etc/"))
	b.do("filter", click(".tree-filter"), chromedp.KeyEvent("passw"), rowsShow("/etc/passwd"), until(`document.querySelector(".tree-bar [role=status]").textContent.includes("match")`))
	b.picture("inspect-filter")
	b.do("no filter", chromedp.KeyEvent("\x1b"), rowsShow("bin/"), named("this layer"))
	b.do("by keyboard: the tree", script(`document.querySelector(".window").focus()`), chromedp.KeyEvent(kb.End), chromedp.KeyEvent(kb.Home), until(`document.querySelector(".window").getAttribute("aria-activedescendant")?.endsWith("-0")`))
	b.do("advice", click(".tab-smaller"), until(`document.querySelector(".advice").innerText.includes("apt's package lists")`), until(`document.querySelector(".advice code")`), until(fits))
	b.picture("inspect-smaller")
	b.do("configuration", click(".tab-about"), until(`document.querySelector(".inspect-page").innerText.includes("STEP")`))
	b.picture("inspect-about")
	b.do("compare", script(`(() => { const s = document.querySelector(".inspector select"); s.value = [...s.options].find((o) => o.text === "s1:latest").value; s.dispatchEvent(new Event("change")) })()`),
		until(`document.querySelector(".compare-files")?.innerText.includes("/app/junk")`), until(`document.querySelector(".compare-files").innerText.includes("/app/\\xff")`), until(fits))
	b.picture("inspect-compare")
	b.do("its files", script(`document.querySelector(".compare-files").scrollIntoView({block: "end"}); setTimeout(() => requestAnimationFrame(() => (window.drawn = true)), 100)`), until(`window.drawn`))
	b.picture("inspect-compare-files")
	b.do("back", script(`document.querySelector(".inspector .log-bar button").focus()`), chromedp.KeyEvent("\x1b"), visible("#dock-images .images"), until(`document.activeElement.getAttribute("aria-label") === "Inspect demo:latest"`))
	b.picture("inspect-list")
	inspectLarge(b)
	inspectLooks(b)
	close(b.faults)
	for f := range b.faults {
		t.Error("script: ", f)
	}
}

// inspectLarge opens an image of many files by an event, as other parts of the page do.
func inspectLarge(b *browser) {
	b.t.Helper()
	b.do("by an event", click("#dock-tab-containers"), script(`document.dispatchEvent(new CustomEvent("berth:inspect-image", {detail: {image: "large"}}))`), rowsShow("many/"), named("this layer"), pressRow("many/"), rowsShow("file-0"))
	b.do("only what is seen is there", until(`document.querySelectorAll(".inspect-tree .row").length < 80`), script(`document.querySelector(".window").focus()`), chromedp.KeyEvent(kb.End), until(`document.querySelector(".window .current")?.innerText.includes("tree/")`))
	b.do("and the rest when it is asked for", script(`document.querySelector(".window").scrollTop = 2001 * 24`), rowsShow("3,000 more"))
	b.picture("inspect-more")
	b.do("more", script(`[...document.querySelectorAll(".row")].find((r) => r.innerText.includes("more")).click()`), until(`document.querySelector(".window-space").clientHeight > 4000 * 24`))
	b.picture("inspect-large")
	b.do("a long list of matches", click(".tree-filter"), chromedp.KeyEvent("file-4"), until(`document.querySelector(".tree-bar [role=status]").textContent === "1,111 matches"`), script(`document.querySelector(".window").scrollTop = 1e9`), rowsShow("/many/file-499"), chromedp.KeyEvent("\x1b"))
	b.do("markup is text", pressRow("tree/"), rowsShow("<img src=x onerror=alert(1)>/"), pressRow("evil.html"), until(`document.querySelector(".preview-text").textContent.startsWith("\\e[31mred\\e[0m\n<script>alert(1)</script>")`))
	b.picture("inspect-file")
	b.do("a long file is cut", chromedp.KeyEvent("\x1b"), pressRow("long"), until(`document.querySelector(".inspect-preview .wait").textContent.startsWith("The first 256 KB of")`), chromedp.KeyEvent("\x1b"))
	b.do("from a match into the tree", click(".tree-filter"), chromedp.KeyEvent("tree"), until(`document.querySelector(".tree-bar [role=status]").textContent === "1 match"`), pressRow("/tree/"),
		rowsShow("evil.html"), until(`document.querySelector(".tree-filter").value === "" && document.querySelector(".window .current").innerText.includes("tree/")`))
	b.do("a layer by an event", script(`document.dispatchEvent(new CustomEvent("berth:inspect-image", {detail: {image: "demo", layer: 1}}))`), until(`document.querySelector(".step[aria-selected=true]")?.innerText.includes("mkdir -p /app")`), rowsShow("app/"))
	b.do("an image that is not there", script(`document.dispatchEvent(new CustomEvent("berth:inspect-image", {detail: {image: "none"}}))`), until(`document.querySelector(".inspector > .wait").textContent.includes("No such image: none")`))
	b.do("a registry that nobody reaches", named("Back to all images"), script(`document.getElementById("pull-name").value = "192.0.2.1:5000/a/b:c"`), named("Look at its tags and sizes before it is pulled"),
		until(`document.querySelector(".remote-part [role=alert]")?.innerText.includes("This registry cannot be reached from the session")`))
	b.picture("inspect-no-registry")
	b.do("back by escape", chromedp.KeyEvent("\x1b"), visible("#dock-images .images"))
}

// inspectLooks takes pictures in the dark and on a phone.
func inspectLooks(b *browser) {
	b.t.Helper()
	open := chromedp.Steps(script(`document.dispatchEvent(new CustomEvent("berth:inspect-image", {detail: {image: "demo"}}))`), rowsShow("app/"))
	b.do("dark", look("dark", 1280, 800), script(`document.querySelector("#dock-images").classList.contains("covered") && document.querySelector(".inspector:not([hidden]) .log-bar button").click()`), open, pressRow("app/"), rowsShow("junk"))
	b.picture("inspect-tree-dark")
	b.do("phone", look("light", 360, 740), until(fits), until(`document.querySelector(".tab-files").checkVisibility()`), click(".tab-layers"))
	b.picture("inspect-layers-phone")
	b.do("phone, files", click(`.step[aria-selected="true"]`), visible(".tree-bar"), rowsShow("app/"), until(fits))
	b.picture("inspect-files-phone")
	b.do("phone, file", pressRow("text"), until(`document.querySelector(".preview-text").textContent === "two two\n"`), until(fits))
	b.picture("inspect-file-phone")
	b.do("phone, advice", look("dark", 360, 740), click(".tab-smaller"), visible(".advice"), until(fits))
	b.picture("inspect-smaller-phone-dark")
}

const plainRegistry = `version: 0.1
storage: {filesystem: {rootdirectory: /var/lib/registry}}
http: {addr: ":5000"}
log: {level: error}
`

// TestLookFirst looks at an image at a registry before it is pulled from there.
func TestLookFirst(t *testing.T) {
	archive := registryImage(t)
	s := newServer(t, dockerEnvironments)
	s.start()
	b := newBrowser(t)
	b.do("first page", look("light", 1280, 800), chromedp.Navigate(s.url+"/healthz"), script(`localStorage.setItem("berth.renderer", "dom"); localStorage.setItem("berth.dock-height", "460")`),
		chromedp.Navigate(s.url+"/"), click(`button[value="debian"]`), visible(".xterm-rows"), shows("root@debian"))
	id := strings.TrimPrefix(b.eval("location.pathname"), "/s/")
	if got := s.berth(nil, "docker", id, "--", "import", "-c", `CMD ["/usr/bin/docker-registry","serve","/etc/plain.yml"]`, archive, "registry:2"); got.code != 0 {
		t.Fatalf("%+v", got)
	}
	got := s.berth(nil, "exec", id, "--", "bash", "-c", `echo '`+plainRegistry+`' >/tmp/plain.yml; docker create --name registry -p 5000:5000 registry:2 && docker cp /tmp/plain.yml registry:/etc/plain.yml && docker start registry &&
		for i in $(seq 50); do (echo >/dev/tcp/127.0.0.1/5000) 2>/dev/null && break; sleep 0.1; done
		for tag in 1 2 latest; do docker tag busybox localhost:5000/team/app:$tag && docker push -q localhost:5000/team/app:$tag && docker rmi localhost:5000/team/app:$tag || exit 1; done`)
	if got.code != 0 {
		t.Fatalf("%+v", got)
	}
	form := func(name string) step {
		return chromedp.Steps(script(fmt.Sprintf(`document.getElementById("pull-name").value = %q`, name)), named("Look at its tags and sizes before it is pulled"))
	}
	b.do("tags and sizes", click("#dock-tab-images"), form("localhost:5000/team/app:1"), until(`document.querySelectorAll(".tags button").length === 3`),
		until(`document.querySelector(".remote-part").innerText.match(/linux\/amd64\s+\d/)`), until(fits))
	b.picture("inspect-remote")
	b.do("another tag", named("Look at localhost:5000/team/app:2"), until(`document.querySelector(".inspector:not([hidden]) h2").textContent.startsWith("localhost:5000/team/app:2")`), until(`document.querySelector(".remote-part table")`))
	b.do("pull", named("Pull localhost:5000/team/app:2"), until(`document.querySelector(".pull")?.innerText.includes("localhost:5000/team/app:2")`), until(`[...document.querySelectorAll("#dock-images .entry")].some((r) => r.innerText.includes("localhost:5000/team/app"))`))
	b.do("a tag that is not there", form("localhost:5000/team/app:none"), until(`document.querySelector(".remote-part [role=alert]")?.innerText.includes("The registry has no such image.")`), until(`document.querySelectorAll(".tags button").length === 3`))
	b.do("back", chromedp.KeyEvent("\x1b"), visible("#dock-images .images"))
	close(b.faults)
	for f := range b.faults {
		t.Error("script: ", f)
	}
}
