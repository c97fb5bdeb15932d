package e2e_test

import (
	"fmt"
	"testing"

	"github.com/chromedp/chromedp"
)

// saysRow is true where the row of that container says all of it.
func saysRow(name string, says ...string) step {
	has := ""
	for _, s := range says {
		has += fmt.Sprintf(` && r.innerText.includes(%q)`, s)
	}
	return until(fmt.Sprintf(`[...document.querySelectorAll("#dock-containers .entry")].some((r) => r.querySelector("strong").textContent === %q%s)`, name, has))
}

func named(label string) step { return click(fmt.Sprintf(`[aria-label=%q]`, label)) }

// TestPanels watches in Chromium what `docker` does in the shell, and does it from the panels.
func TestPanels(t *testing.T) {
	s := serve(t)
	b := newBrowser(t)
	b.do("first page", look("light", 1280, 800), chromedp.Navigate(s.url+"/healthz"), script(`localStorage.setItem("berth.renderer", "dom")`),
		chromedp.Navigate(s.url+"/"), click(`button[value="debian"]`), visible(".xterm-rows"), shows("root@debian"))
	b.do("no containers yet", click("#dock-tab-containers"), visible("#dock-containers .none-yet"))
	b.do("one from the shell", types("clear; docker run -d --name web -m 32m -p 8080:80 busybox sh -c 'while :; do echo tick; sleep 1; : ; done'\r"),
		saysRow("web", "busybox", "running", "8080 → 80", "of 32 MB", "%"))
	b.picture("containers")
	b.do("its log", named("Logs of web"), until(`document.querySelectorAll(".log .l").length > 2`), until(`document.querySelector(".log").innerText.includes("tick")`))
	b.picture("logs")
	b.do("back", named("Back to all containers"), named("web, running: details"), named("pause web"), saysRow("web", "paused"), named("unpause web"), saysRow("web", "running"))
	b.do("a shell in it", named("Shell in web"), shows("docker exec -it web"), shows("built-in shell"), types("clear; cat /proc/1/cmdline\r"), shows("echo tick"))
	b.do("kill and start", named("kill web"), saysRow("web", "exited", "exit status 137"), named("start web"), saysRow("web", "running"))
	s.kill()
	b.do("the server is gone", until(`document.getElementById("dock-link").textContent.includes("reconnecting")`), saysRow("web", "running"))
	s.start()
	b.do("the server is back", until(`document.getElementById("dock-link").textContent === ""`), shows("root@debian"), types("clear; docker rename web site\r"),
		saysRow("site", "running"), types("docker rename site web\r"), saysRow("web", "running"))
	b.do("images", click("#dock-tab-images"), until(`document.querySelector("#dock-images .images").innerText.includes("busybox")`))
	b.picture("images")
	b.do("pull", click("#pull-name"), script(`document.getElementById("pull-name").value = "busybox"; document.getElementById("pull-form").requestSubmit()`), until(`document.querySelector(".pull")?.innerText.match(/up to date|Downloaded/)`))
	b.picture("pull")
	b.do("in use", named("Remove busybox:latest"), click("#dock-images .doing.asks .solid"), until(`document.querySelector("#dock-images .doing.failed")?.innerText.includes("is using")`))
	b.do("remove", click("#dock-tab-containers"), named("Remove web"), click("#dock-containers .doing.asks .solid"), visible("#dock-containers .none-yet"))
	b.do("a volume and a network", types("clear; docker volume create data && docker network create app\r"), click("#dock-tab-volumes"),
		until(`document.querySelector("#dock-volumes").innerText.includes("data")`), click("#dock-tab-networks"), until(`document.querySelector("#dock-networks").innerText.includes("app")`))
	b.picture("networks")
	b.do("remove it", named("Remove network app"), click("#dock-networks .doing.asks .solid"), until(`!document.querySelector("#dock-networks .rows").innerText.includes("app")`))
	close(b.faults)
	for f := range b.faults {
		t.Error("script: ", f)
	}
}
