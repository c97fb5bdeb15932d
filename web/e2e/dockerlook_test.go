package e2e_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"berth/web/webtest"
)

// still ends all motion, so that pictures do not depend on the moment.
const still = `document.getAnimations().forEach((a) => a.finish?.call !== undefined && a.effect.getTiming().iterations !== Infinity && a.finish())`

// Every state of the panels in every look: nothing wider than the window, the shell never covered.
func TestDockerPanelsFit(t *testing.T) {
	s, ctx := newSite(t), newBrowser(t)
	faults := watch(t, ctx)
	for _, size := range sizes {
		t.Run(size.name, func(t *testing.T) {
			phone := size.width <= 600
			run(t, ctx, "set the look", look(size.dark, size.width, size.height))
			id := s.open(t, ctx)
			s.Sandbox(id).Terminal("1").Print(sample)
			d := s.docker(id)
			shot := func(name string, steps ...step) {
				t.Helper()
				run(t, ctx, name, append(steps, fits(), do(still))...)
				if !phone {
					run(t, ctx, "the shell is seen", until(`document.querySelector(".terminals").clientHeight >= 80`))
				}
				picture(t, ctx, "docker-"+name+"-"+size.name)
			}
			to := func(name string) step { return click(`#dock-tab-` + name) }
			shot("folded", visible("#dock-tabs"))
			s.Sandbox(id).Refuse(true)
			shot("unreachable", to("containers"), until(`document.querySelector("#dock-containers .wait").textContent.includes("does not answer yet")`))
			s.Sandbox(id).Refuse(false)
			shot("empty", visible("#dock-containers .none-yet"))
			shot("no-images", to("images"), visible("#dock-images .none-yet"))
			furnish(d)
			d.Put("start", d.Container(id64("1")))
			shot("containers", to("containers"), row("db", "of 0.5", "%"), row("web", "%"))
			shot("details", press("db, running: details"), until(`document.querySelector(".opened dl").innerText.includes("pgdata")`), do(`document.querySelector('[aria-label="pause db"]').scrollIntoView({block: "end"})`))
			shot("ask", press("Remove web"), visible(".doing.asks"), do(`document.querySelector(".doing.asks").scrollIntoView({block: "center"})`))
			d.Refuse("POST containers/"+id64("2"), "cannot stop container: db: tried to kill container, but did not receive an exit event")
			shot("refused", chromedp.KeyEvent("\x1b"), press("stop db"), visible(".doing.failed"), do(`document.querySelector(".doing.failed").scrollIntoView({block: "center"})`))
			shot("logs", press("Logs of web"), until(`document.querySelectorAll(".log .l").length === 40`))
			shot("images", chromedp.KeyEvent("\x1b"), to("images"), until(`document.querySelector("#images-total").textContent`))
			run(t, ctx, "pulls", click("#pull-name"), keys("redis:8-alpine\r"), asked(d, "POST images/create?fromImage=redis"), click("#pull-name"), keys("nginx:none\r"), asked(d, "POST images/create?fromImage=nginx"))
			d.Pull("nginx:none", `{"errorDetail":{"message":"manifest for nginx:none not found: manifest unknown: manifest unknown"},"error":"x"}`)
			for i, l := range []string{"2d35ebdb57d9", "0f1c2d3e4f5a", "77fc4a2ab1de", "c6a83fedfae6"} {
				status := []string{"Pull complete", "Extracting", "Downloading", "Waiting"}[i]
				d.Pull("redis:8-alpine", fmt.Sprintf(`{"status":%q,"progressDetail":{"current":%d,"total":27000000},"id":%q}`, status, (4-i)*5_300_000, l))
			}
			shot("pull", until(`document.querySelector(".layers").children.length === 4`), visible(".pull.failed"))
			shot("image", press("nginx:1.29-alpine: details"), until(`document.querySelector("#dock-images [role=row]:not([hidden]) > .opened")?.innerText.includes("linux/amd64")`), do(`document.querySelector("#dock-images [role=row]:not([hidden]) > .opened").scrollIntoView({block: "center"})`))
			shot("networks", to("networks"), visible("#dock-networks .entry"))
			shot("volumes", to("volumes"), visible("#dock-volumes .entry"))
			s.Sandbox(id).Refuse(true)
			s.Sandbox(id).Cut()
			shot("lost", to("containers"), until(`document.getElementById("dock-link").textContent.includes("reconnecting")`))
			s.Sandbox(id).Refuse(false)
			for i := range 30 {
				d.Put("", &webtest.Container{
					ID: fmt.Sprintf("%064x", i+100), Name: fmt.Sprintf("a-container-with-a-long-name-of-compose-%d", i), Image: "registry.example.org:5000/team/an-image-with-a-long-name:2026-11-25-nightly", State: "running", Created: time.Now(), Started: time.Now(),
					Ports: []webtest.Port{{Public: 10000 + i, Private: 8080, Type: "tcp"}, {Public: 20000 + i, Private: 9090, Type: "tcp"}, {Private: 1234, Type: "udp"}}, UsedMemory: int64(i) << 20, UsedCPU: int64(i) * 20_000_000,
				})
			}
			shot("many", until(rowsOf+`.length === 34`), until(`document.getElementById("dock-link").textContent === ""`))
			shot("palette", do(`document.getElementById("more").click()`), visible("dialog.palette"), keys("web"), until(`document.querySelector(".palette [aria-selected=true]").textContent === "Shell in web"`))
		})
	}
	for _, f := range faults() {
		t.Error(f)
	}
}
