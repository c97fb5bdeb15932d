package e2e_test

import (
	"fmt"
	"testing"

	"github.com/chromedp/chromedp"
)

// buildBox is a step of the build panel, by what it does.
func buildBox(does string) string {
	return fmt.Sprintf(`[...document.querySelectorAll("#dock-build .step")].find((s) => s.checkVisibility() && s.title.startsWith(%q))`, does)
}

func buildBoxIs(does, class string) step {
	return until(fmt.Sprintf(`%s?.matches(%q)`, buildBox(does), ".is-"+class+", ."+class))
}

func buildStrip(words string) step {
	return until(fmt.Sprintf(`document.querySelector("#dock-build .strip")?.innerText.includes(%q)`, words))
}

// TestBuildOnThePage breaks a build, looks where it broke, mends it and finds what was in the cache.
func TestBuildOnThePage(t *testing.T) {
	s := newServer(t, dockerEnvironments)
	s.start()
	b := newBrowser(t)
	build := script(`document.dispatchEvent(new CustomEvent("berth:build", { detail: { path: "/root/app/Dockerfile" } }))`)
	b.do("start", look("light", 1280, 800), chromedp.Navigate(s.url+"/healthz"), script(`localStorage.setItem("berth.renderer", "dom")`),
		chromedp.Navigate(s.url+"/"), click(`button[value="debian"]`), visible(".xterm-rows"), shows("root@debian"))
	b.do("a Dockerfile", types(`mkdir app; printf 'FROM busybox AS build\nWORKDIR /src\nRUN echo half > made\nRUN echo more >> made && exit 42\nFROM busybox\nCOPY --from=build /src/made /made\nCMD cat /made\n' > app/Dockerfile; clear; echo re''ady`+"\r"), shows("ready"))
	b.do("it breaks", build, buildStrip("failed"), buildBoxIs("RUN echo more", "failed"), buildBoxIs("RUN echo half", "succeeded"),
		until(`document.querySelector("#dock-build .broke").innerText.includes("exit status 42")`), until(`document.querySelector("#dock-build .source .bad code").textContent.includes("exit 42")`))
	b.picture("build-broke")
	b.do("a shell where it broke", click("#dock-build .detail .debug"), until(`document.querySelector(".tab.on .tab-title").textContent.startsWith("debug-1")`),
		types("clear; pwd; cat made; stty size\r"), shows("/src"), shows("half\nmore"))
	b.picture("build-debug")
	b.do("its end", types("exit\r"), until(`document.querySelector(".pane:not([hidden]) .foot")?.innerText.includes("Ended")`), types("\r"), until(`document.querySelectorAll(".tab").length === 1`))
	b.do("mended", types("clear; sed -i s/exit.42/true/ app/Dockerfile; echo men''ded\r"), shows("mended"), build, buildStrip("built in"),
		buildBoxIs("RUN echo half", "cached"), buildBoxIs("RUN echo more", "succeeded"), buildBoxIs("COPY --from=build", "succeeded"))
	b.picture("build-mended")
	b.do("it runs", types("clear; docker run --rm app\r"), shows("half\nmore"))
	b.do("one of the shell", types("clear; docker build -q -t shell app\r"), until(`document.querySelectorAll("#dock-build .builds li").length === 3`), until(`document.querySelector("#dock-build .builds").innerText.includes("shell")`))
	close(b.faults)
	for f := range b.faults {
		t.Error("script: ", f)
	}
}
