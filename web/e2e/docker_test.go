package e2e_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"berth/sessions"
	"berth/web/webtest"
)

func id64(c string) string { return strings.Repeat(c, 64) }

func panel(name string) step { return click(`#dock-tab-` + name) }

const rowsOf = `[...document.querySelectorAll("#dock-containers .entry")]`

// row is true where a container's row says all of that.
func row(name string, says ...string) step {
	has := ""
	for _, s := range says {
		has += fmt.Sprintf(` && r.innerText.includes(%q)`, s)
	}
	return until(fmt.Sprintf(rowsOf+`.some((r) => r.querySelector("strong").textContent === %q%s)`, name, has))
}

func press(label string) step { return click(fmt.Sprintf(`[aria-label=%q]`, label)) }

// furnish gives the machine what a visitor's would have after a while.
func furnish(d *webtest.Docker) {
	now := time.Now()
	d.PutImage(
		&webtest.Image{ID: "sha256:" + id64("a"), Tags: []string{"nginx:1.29-alpine", "registry.example.org:5000/team/nginx:stable"}, Size: 52 << 20, Shared: 8 << 20, Created: now.Add(-72 * time.Hour)},
		&webtest.Image{ID: "sha256:" + id64("b"), Tags: []string{"postgres:18"}, Size: 457 << 20, Created: now.Add(-20 * 24 * time.Hour)},
		&webtest.Image{ID: "sha256:" + id64("c"), Tags: []string{"busybox:latest"}, Size: 4_400_000, Shared: 0, Created: now.Add(-400 * 24 * time.Hour)},
		&webtest.Image{ID: "sha256:" + id64("d"), Size: 61 << 20, Shared: 52 << 20, Created: now.Add(-5 * time.Minute)},
	)
	d.Put("", &webtest.Container{
		ID: id64("4"), Name: "migrate", Image: "postgres:18", ImageID: "sha256:" + id64("b"), Command: "psql -f schema.sql", State: "exited",
		Status: "Exited (137) 3 minutes ago", ExitCode: 137, OOMKilled: true, Created: now.Add(-10 * time.Minute), Started: now.Add(-10 * time.Minute), Finished: now.Add(-3 * time.Minute), Memory: 64 << 20,
	}, &webtest.Container{
		ID: id64("3"), Name: "once", Image: "busybox", ImageID: "sha256:" + id64("c"), Command: "echo hi", State: "exited",
		Status: "Exited (0) 2 minutes ago", Created: now.Add(-2 * time.Minute), Started: now.Add(-2 * time.Minute), Finished: now.Add(-2 * time.Minute),
	}, &webtest.Container{
		ID: id64("2"), Name: "db", Image: "postgres:18", ImageID: "sha256:" + id64("b"), Command: "docker-entrypoint.sh postgres", State: "running",
		Status: "Up 5 minutes (unhealthy)", Created: now.Add(-5 * time.Minute), Started: now.Add(-5 * time.Minute), Memory: 128 << 20, NanoCPUs: 500_000_000,
		UsedMemory: 119 << 20, UsedCPU: 31_000_000, Ports: []webtest.Port{{Private: 5432, Type: "tcp"}}, Mounts: []string{"pgdata"},
	}, &webtest.Container{
		ID: id64("1"), Name: "web", Image: "nginx:1.29-alpine", ImageID: "sha256:" + id64("a"), Command: "nginx -g 'daemon off;'", State: "running",
		Status: "Up 4 minutes (healthy)", Created: now.Add(-4 * time.Minute), Started: now.Add(-4 * time.Minute), UsedMemory: 9 << 20, UsedCPU: 4_000_000,
		Ports: []webtest.Port{{IP: "0.0.0.0", Private: 80, Public: 8080, Type: "tcp"}, {IP: "::", Private: 80, Public: 8080, Type: "tcp"}, {IP: "0.0.0.0", Private: 443, Public: 8443, Type: "tcp"}, {IP: "0.0.0.0", Private: 53, Public: 5353, Type: "udp"}},
	})
	d.PutOther([]map[string]any{
		{"Id": id64("e"), "Name": "bridge", "Driver": "bridge", "IPAM": map[string]any{"Config": []map[string]string{{"Subnet": "172.17.0.0/16"}}}},
		{"Id": id64("f"), "Name": "app", "Driver": "bridge", "Internal": true, "IPAM": map[string]any{"Config": []map[string]string{{"Subnet": "172.18.0.0/16"}}}},
	}, []map[string]any{{"Name": "pgdata", "Driver": "local", "CreatedAt": now.Add(-5 * time.Minute)}, {"Name": id64("9"), "Driver": "local"}})
	for i := range 40 {
		d.Say(id64("1"), byte(1+i%7/6), now.Add(time.Duration(i-60)*time.Second), fmt.Sprintf(`172.17.0.1 - - "GET /%d HTTP/1.1" 200 615 "-" "Mozilla/5.0"`, i))
	}
}

func (s *site) docker(id sessions.ID) *webtest.Docker { return s.Sandbox(id).Docker() }

func asked(d *webtest.Docker, begin string) step {
	return chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
		for {
			for _, a := range d.Asked() {
				if strings.HasPrefix(a, begin) {
					return nil
				}
			}
			select {
			case <-time.After(10 * time.Millisecond):
			case <-ctx.Done():
				return fmt.Errorf("nobody asked %s: %w", begin, ctx.Err())
			}
		}
	})
}

func TestContainersAreLive(t *testing.T) {
	s, ctx := newSite(t), newBrowser(t)
	faults := watch(t, ctx)
	id := s.open(t, ctx)
	d := s.docker(id)
	furnish(d)
	run(t, ctx, "a page that nobody asked for containers", visible("#dock-tab-containers"), typed("echo idle\r"), until(screenHas("idle", 2)))
	if a := d.Asked(); len(a) > 0 {
		t.Fatalf("an idle page asked Docker %v", a)
	}
	run(t, ctx, "the list", panel("containers"), row("web", "nginx:1.29-alpine", "running", "healthy", "4 min", "8080 → 80"), row("db", "unhealthy", "5432/tcp"),
		row("migrate", "exited", "out of memory"), row("once", "exit status 0"))
	port := s.url[strings.LastIndex(s.url, ":"):]
	run(t, ctx, "ports are links", until(fmt.Sprintf(`document.querySelector("#dock-containers a.port").href === "http://8080-%s.localhost%s/"`, id, port)),
		until(`document.querySelectorAll("#dock-containers a.port").length === 2`))
	run(t, ctx, "limits and use", row("db", "3.1%", "of 0.5", "119 MB", "of 128 MB"), row("web", "0.4%", "9 MB"))
	d.Put("start", &webtest.Container{ID: id64("5"), Name: "late", Image: "busybox", State: "running", Status: "Up", Created: time.Now(), Started: time.Now()})
	run(t, ctx, "an event brings a row", row("late", "running"), until(`document.getElementById("dock-news").textContent.includes("late is running")`))
	d.Take(id64("5"))
	run(t, ctx, "an event takes it", until(rowsOf+`.every((r) => r.querySelector("strong").textContent !== "late")`))
	run(t, ctx, "stop", press("stop web"), row("web", "exited"), press("start web"), row("web", "running"))
	run(t, ctx, "more", press("db, running: details"), press("pause db"), row("db", "paused"), press("unpause db"), row("db", "running"),
		press("restart db"), asked(d, "POST containers/"+id64("2")+"/restart"))
	run(t, ctx, "remove, not", press("Remove web"), until(`document.activeElement.textContent === "Remove web"`), chromedp.KeyEvent("\x1b"), until(`document.activeElement.getAttribute("aria-label") === "Remove web"`))
	run(t, ctx, "remove", press("Remove once"), click(".doing.asks .solid"), until(rowsOf+`.length === 3`), asked(d, "DELETE containers/"+id64("3")+"?force=1&v=1"))
	d.Refuse("POST containers/"+id64("2")+"/stop", "cannot stop container: db: permission denied")
	run(t, ctx, "refused in Docker's words", press("stop db"), row("db", "cannot stop container: db: permission denied"))
	run(t, ctx, "shell", press("Shell in web"), until(`document.querySelectorAll(".tab").length === 2`), shows("docker exec -it web sh -c"))
	if got := s.Sandbox(id).Terminal("2").Input(); got != "docker exec -it web sh -c 'command -v bash >/dev/null && exec bash || exec sh'\r" {
		t.Errorf("the shell was given %q", got)
	}
	for _, f := range faults() {
		t.Error(f)
	}
}

func TestLogsFollow(t *testing.T) {
	s, ctx := newSite(t), newBrowser(t)
	faults := watch(t, ctx)
	id := s.open(t, ctx)
	d := s.docker(id)
	furnish(d)
	const lines = `document.querySelectorAll(".log .l").length`
	run(t, ctx, "logs", panel("containers"), press("Logs of web"), until(lines+` === 40`), until(`document.querySelectorAll(".log .err").length === 5`))
	d.Say(id64("1"), 1, time.Now(), "\x1b[31m<img src=x onerror=alert(1)>\x1b[0m\u202e done")
	run(t, ctx, "a new line, as text", until(`document.querySelector(".log").lastChild.textContent.endsWith("<img src=x onerror=alert(1)> done")`), until(lines+` === 41`),
		until(`(() => { const o = document.querySelector(".log"); return o.scrollTop + o.clientHeight > o.scrollHeight - 24 })()`))
	s.Sandbox(id).Cut()
	d.Say(id64("1"), 2, time.Now(), "after the cut")
	run(t, ctx, "once, over a cut", until(`document.querySelector(".log").lastChild.textContent.includes("after the cut")`), until(lines+` === 42`))
	for i := range 6000 {
		d.Say(id64("1"), 1, time.Now(), fmt.Sprintf("flood %d", i))
	}
	run(t, ctx, "a flood: the last lines, and no more than are kept", until(`document.querySelector(".log").lastChild.textContent.endsWith("flood 5999")`), until(lines+` <= 2000`))
	run(t, ctx, "reading further up stays there", do(`document.querySelector(".log").scrollTop = 100`), until(`!document.querySelector(".newest").hidden || document.querySelector(".log").scrollTop === 100`))
	d.Say(id64("1"), 1, time.Now(), "one more")
	run(t, ctx, "and says that there is more", visible(".newest"), until(`document.querySelector(".log").scrollTop < 200`), click(".newest"), until(`document.querySelector(".newest").hidden`), do(`document.querySelector(".log").focus()`))
	run(t, ctx, "back by escape", chromedp.KeyEvent("\x1b"), row("web", "running"), until(`document.activeElement.classList.contains("opener")`))
	for _, f := range faults() {
		t.Error(f)
	}
}

func TestImagesAndPull(t *testing.T) {
	s, ctx := newSite(t), newBrowser(t)
	faults := watch(t, ctx)
	id := s.open(t, ctx)
	d := s.docker(id)
	furnish(d)
	const list = `document.querySelector("#dock-images .images").innerText`
	run(t, ctx, "the list", panel("images"), until(list+`.includes("44 MB its own, 8 MB shared")`), until(list+`.includes("2 containers")`),
		until(`document.getElementById("images-total").textContent.startsWith("514 MB of the disk")`))
	run(t, ctx, "run is typed, not run", press("Type docker run postgres:18 into the shell"), shows("docker run -it --rm postgres:18"))
	if got := s.Sandbox(id).Terminal("1").Input(); got != "docker run -it --rm postgres:18" {
		t.Errorf("the shell was given %q", got)
	}
	run(t, ctx, "pull", click("#pull-name"), keys("redis:8-alpine\r"), asked(d, "POST images/create?fromImage=redis&tag=8-alpine"))
	for _, l := range []string{
		`{"status":"Pulling from library/redis","id":"8-alpine"}`, `{"status":"Pulling fs layer","progressDetail":{},"id":"2d35ebdb57d9"}`,
		`{"status":"Pulling fs layer","progressDetail":{},"id":"0f1c2d3e4f5a"}`, `{"status":"Already exists","progressDetail":{},"id":"0f1c2d3e4f5a"}`,
		`{"status":"Downloading","progressDetail":{"current":1048576,"total":2097152},"id":"2d35ebdb57d9"}`,
	} {
		d.Pull("redis:8-alpine", l)
	}
	run(t, ctx, "progress", until(`document.querySelector(".layers").innerText.includes("1 MB of 2 MB")`), until(`document.querySelector(".pull > progress").value === 0.7`),
		until(`document.querySelector("#dock-tab-images .count").textContent === "1 ↓"`))
	d.Pull("redis:8-alpine", `{"status":"Pull complete","progressDetail":{},"id":"2d35ebdb57d9"}`)
	d.Pull("redis:8-alpine", `{"status":"Status: Downloaded newer image for redis:8-alpine"}`)
	d.Pull("redis:8-alpine", "")
	run(t, ctx, "done", until(`document.querySelector(".pull").innerText.includes("Downloaded newer image")`), until(list+`.includes("redis")`))
	run(t, ctx, "a pull that fails", click("#pull-name"), keys("nginx:none\r"), asked(d, "POST images/create?fromImage=nginx&tag=none"))
	d.Pull("nginx:none", `{"errorDetail":{"message":"manifest for nginx:none not found: manifest unknown"},"error":"manifest for nginx:none not found"}`)
	run(t, ctx, "says why", until(`document.querySelector(".pull.failed").innerText.includes("manifest unknown")`))
	run(t, ctx, "cancel", click("#pull-name"), keys("big:1\r"), asked(d, "POST images/create?fromImage=big"), press("Cancel the pull of big:1"), until(`!document.querySelector("#pulls").innerText.includes("big")`))
	run(t, ctx, "a pull goes on over a reload", click("#pull-name"), keys("slow:1\r"), asked(d, "POST images/create?fromImage=slow"), chromedp.Reload(), until(`document.querySelector("#pulls")?.innerText.includes("slow:1")`))
	d.Refuse("DELETE images/", "conflict: unable to remove repository reference \"postgres:18\" (must force) - container 222222222222 is using its referenced image")
	run(t, ctx, "in use", press("Remove postgres:18"), click(".doing.asks .solid"), until(list+`.includes("container 222222222222 is using")`))
	d.Refuse("DELETE images/", "")
	run(t, ctx, "anyway", press("Remove postgres:18 anyway"), until(`!`+list+`.includes("postgres")`), asked(d, "DELETE images/postgres%3A18?force=1"))
	for _, f := range faults() {
		t.Error(f)
	}
}

func TestDockerComesBack(t *testing.T) {
	s, ctx := newSite(t), newBrowser(t)
	id := s.open(t, ctx)
	d, box := s.docker(id), s.Sandbox(id)
	furnish(d)
	run(t, ctx, "the list", panel("containers"), row("web"))
	box.Refuse(true)
	box.Cut()
	run(t, ctx, "it says so", until(`document.getElementById("dock-link").textContent.includes("reconnecting")`), row("web"))
	d.Take(id64("3"))
	box.Refuse(false)
	run(t, ctx, "it is back", until(`document.getElementById("dock-link").textContent === ""`), until(rowsOf+`.length === 3`))
	run(t, ctx, "a pull", panel("images"), click("#pull-name"), keys("slow:1\r"), asked(d, "POST images/create?fromImage=slow"))
	box.Cut()
	run(t, ctx, "goes on", until(`document.querySelector(".pull").innerText.includes("reconnecting")`), until(`document.querySelector(".pull").innerText.includes("going on")`))
	d.Pull("slow:1", `{"status":"Status: Image is up to date for slow:1"}`)
	d.Pull("slow:1", "")
	run(t, ctx, "and ends", until(`document.querySelector(".pull").innerText.includes("up to date")`), panel("containers"), row("web"))
	run(t, ctx, "open after a reload", chromedp.Reload(), row("web"))
	run(t, ctx, "folded after a reload", press("Fold the panel"), until(`document.getElementById("dock-body").hidden`), chromedp.Reload(), visible(".tabbar"), until(`document.getElementById("dock-body").hidden`))
}

// Names that want to be more than names.
func TestHostileDocker(t *testing.T) {
	s, ctx := newSite(t), newBrowser(t)
	faults := watch(t, ctx)
	id := s.open(t, ctx)
	d := s.docker(id)
	const bad = `"><img src=x onerror=alert(1)>$(touch /x);'` + "\u202e`id`\r"
	d.Put("", &webtest.Container{
		ID: id64("1"), Name: bad, Image: bad, Command: bad, State: "running", Status: bad, Mounts: []string{bad},
		Ports: []webtest.Port{{IP: bad, Private: 80, Public: 80, Type: "javascript:alert(1)"}, {Private: -1, Public: 1 << 20, Type: "tcp"}},
	},
		&webtest.Container{ID: "../../../x?force=1", Name: strings.Repeat("a", 100_000), State: bad, Extra: map[string]any{"Names": nil, "Ports": "none", "Image": 7}})
	d.PutImage(&webtest.Image{ID: bad, Tags: []string{bad, "--privileged", "a;b"}, Size: -1})
	d.PutOther([]map[string]any{{"Id": bad, "Name": bad, "Driver": 7}}, []map[string]any{{"Name": bad}})
	asked := requests(t, ctx)
	run(t, ctx, "containers", panel("containers"), until(rowsOf+`.length === 2`), do(rowsOf+`.forEach((r) => r.querySelector(".opener").click())`), fits(),
		until(`[...document.querySelectorAll("#dock a[href]")].every((a) => a.protocol === "http:" && a.hostname.endsWith(".localhost"))`))
	run(t, ctx, "shell by ID", click(`[aria-label^="Shell in"]`), shows("docker exec -it 111111111111 sh"))
	run(t, ctx, "images", panel("images"), until(`document.querySelectorAll("#dock-images .entry").length === 3`), until(`[...document.querySelectorAll("#dock-images .acts [aria-label^='Type docker run']")].every((b) => b.hidden)`), fits())
	run(t, ctx, "others", panel("networks"), visible("#dock-networks .entry"), panel("volumes"), visible("#dock-volumes .entry"), fits(),
		do(`for (const name of ["..", "a/../b", "", 7]) document.dispatchEvent(new CustomEvent("berth:browse-volume", {detail: {name}}))`))
	run(t, ctx, "nothing acted", until(`!document.querySelector("#dock img, #dock script, dialog")`))
	for _, url := range asked() {
		if !strings.HasPrefix(url, s.url) || strings.Contains(url, "/x") && strings.Contains(url, "force") && !strings.Contains(url, "%3Fforce") {
			t.Errorf("the page asked for %s", url)
		}
	}
	for _, f := range faults() {
		t.Error(f)
	}
}
