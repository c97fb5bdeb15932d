package e2e_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/gif"
	"image/jpeg"
	"image/png"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"berth/web/webtest"
)

const (
	whyRoots = `/var/lib/postgresql is owned by 0:0 (root) with mode 755, and db runs as uid 1000 "app": only the owner may write. ` +
		`Run chown -R 1000:1000 on it in a container that is root, or let the image's USER be 0 (root).`
	fixRoots = "docker exec -u 0 db chown -R 1000:1000 /var/lib/postgresql"
)

// stripes is a picture that one recognises.
func stripes(t *testing.T) []byte {
	t.Helper()
	m := image.NewRGBA(image.Rect(0, 0, 240, 120))
	for x := range 240 {
		for y := range 120 {
			m.Set(x, y, color.RGBA{R: uint8(x), G: uint8(2 * y), B: 160, A: 255})
		}
	}
	var b bytes.Buffer
	if err := png.Encode(&b, m); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// stock gives the furnished machine volumes to look into.
func stock(t *testing.T, d *webtest.Docker) {
	t.Helper()
	ago := func(d time.Duration) time.Time { return time.Now().Add(-d) }
	app := func(mode, data string) *webtest.File {
		return &webtest.File{Data: []byte(data), Mode: mode, UID: 1000, GID: 1000, Owner: "app", Group: "staff", Changed: ago(2 * time.Hour)}
	}
	root := func(mode string, data []byte) *webtest.File {
		return &webtest.File{Data: data, Mode: mode, Owner: "root", Group: "root", Changed: ago(50 * time.Hour)}
	}
	top := root("drwxr-xr-x", nil)
	top.Why, top.Fix = whyRoots, fixRoots
	conf := root("-rw-r--r--", []byte("# TYPE  DATABASE  USER  ADDRESS  METHOD\nlocal   all       all            trust\n\x1b[31mred\x1b[0m \u202etxt.exe\n"))
	conf.Why = `/var/lib/postgresql/pg_hba.conf is owned by 0:0 (root) with mode 644, and db runs as uid 1000 "app": only the owner may write.`
	conf.Fix = "docker exec -u 0 db chown 1000:1000 /var/lib/postgresql/pg_hba.conf"
	d.PutVolume("pgdata", webtest.Volume{
		"/": top, "/base": {Mode: "drwx------", UID: 1000, GID: 1000, Owner: "app", Group: "staff", Changed: ago(time.Hour)}, "/base/1": app("-rw-------", "x"),
		"/pg_hba.conf": conf, "/logo.png": root("-rw-r--r--", stripes(t)), "/current": {Mode: "Lrwxrwxrwx", Target: "/base", Changed: ago(time.Minute)},
		"/dump.bin": root("-rw-r--r--", []byte("\x00\x01\x02binary")), "/an-archive-with-a-long-name-of-2026-11-25-nightly.tar.gz": app("-rw-r--r--", strings.Repeat("z", 90_000)),
		"/<img src=x onerror=alert(1)>": app("-rw-r--r--", "<script>alert(1)</script>"),
	}, "")
	d.PutVolume("cache", webtest.Volume{}, "volume cache is in memory (tmpfs): it has files only while a container that mounts it runs. Start one to look into it.")
}

func has(text string) string {
	return fmt.Sprintf(`document.querySelector("#dock-volumes .browser").innerText.includes(%q)`, text)
}

func TestVolumeBrowser(t *testing.T) {
	s, ctx := newSite(t), newBrowser(t)
	faults := watch(t, ctx)
	id := s.open(t, ctx)
	d := s.docker(id)
	furnish(d)
	stock(t, d)
	run(t, ctx, "the list", panel("volumes"), until(`document.querySelector("#dock-volumes .rows").innerText.includes("pgdata")`), until(`document.querySelector("#dock-volumes .rows").innerText.includes("KB")`))
	run(t, ctx, "create", click("#volume-name"), keys("no good\r"), until(`document.querySelector("#volume-hint").textContent.includes("invalid characters")`),
		do(`document.querySelector("#volume-name").value = ""`), click("#volume-name"), keys("fresh\r"), until(`document.querySelector("#dock-volumes .rows").innerText.includes("fresh")`))
	d.Refuse("DELETE volumes/pgdata", "remove pgdata: volume is in use - [4b1c]")
	run(t, ctx, "in use", press("Remove volume pgdata"), click("#dock-volumes .doing.asks .solid"), until(`document.querySelector("#dock-volumes .doing.failed")?.innerText.includes("volume is in use")`))
	run(t, ctx, "remove", press("Remove volume fresh"), click("#dock-volumes .doing.asks .solid"), until(`!document.querySelector("#dock-volumes .rows").innerText.includes("fresh")`))
	run(t, ctx, "who mounts it", press("Container db"), until(`document.querySelector('[aria-label="db, running: details"]').getAttribute("aria-expanded") === "true"`),
		press("Browse volume pgdata of db"), until(has("pg_hba.conf")))
	run(t, ctx, "owners and why", until(has("app (1000) : staff (1000)")), until(has("root (0)")), until(has("owned by 0:0 (root) with mode 755")), until(has("→ /base")))
	run(t, ctx, "why of a file", press("Why pg_hba.conf is not writable"), until(has("pg_hba.conf is owned by 0:0")))
	run(t, ctx, "text", press("pg_hba.conf: show"), until(has(`\x1b[31mred\x1b[0m \u202etxt.exe`)))
	run(t, ctx, "a picture", press("logo.png: show"), until(`document.querySelector("#dock-volumes canvas")?.width === 240`))
	run(t, ctx, "no text", press("dump.bin: show"), until(has("This is no text")))
	run(t, ctx, "markup stays text", press("<img src=x onerror=alert(1)>: show"), until(has("<script>alert(1)</script>")))
	run(t, ctx, "a folder and back", press("base, folder: open"), until(`document.querySelectorAll("#dock-volumes .files .entry").length === 1`),
		do(`document.querySelector(".crumbs button").click()`), until(has("pg_hba.conf")))
	run(t, ctx, "new folder", press("Make a folder in this directory"), keys("a/b\r"), until(has("A name without slashes")), do(`document.activeElement.value = ""`), keys("made & here\r"), press("made & here, folder: open"),
		until(has("Nothing is in here")))
	run(t, ctx, "drop", do(`{
		const data = new DataTransfer();
		data.items.add(new File(["dropped"], "drop me.txt"));
		const node = document.querySelector("#dock-volumes .browser");
		for (const type of ["dragenter", "dragover", "drop"]) node.dispatchEvent(new DragEvent(type, {dataTransfer: data, bubbles: true, cancelable: true}));
	}`), until(`document.querySelector('[aria-label="Rename drop me.txt"]')`)) // it has a row when all of it is there
	if got := string(d.VolumeFile("pgdata", "/made & here/drop me.txt")); got != "dropped" {
		t.Errorf("dropped and got %q", got)
	}
	run(t, ctx, "rename", press("Rename drop me.txt"), do(`document.activeElement.value = ""`), keys("renamed.txt\r"), until(has("renamed.txt")))
	run(t, ctx, "replace", do(`{
		const data = new DataTransfer();
		data.items.add(new File(["again"], "renamed.txt"));
		document.querySelector("#dock-volumes .browser").dispatchEvent(new DragEvent("drop", {dataTransfer: data, bubbles: true, cancelable: true}));
	}`), until(has("replace what is here?")), click(".uploads .solid"), until(has("5 B")))
	run(t, ctx, "downloads", until(`document.querySelector('[aria-label="Download renamed.txt"]').href.endsWith("/volumes/pgdata/files/made%20%26%20here/renamed.txt")`),
		until(`document.querySelector('[aria-label="Download this folder as a tar"]').href.endsWith("/made%20%26%20here?archive=tar")`))
	run(t, ctx, "delete", press("Delete renamed.txt"), click("#dock-volumes .doing.asks .solid"), until(has("Nothing is in here")))
	run(t, ctx, "the command", do(`document.querySelector(".crumbs button").click()`), click(".browser > .why button"), shows("docker exec -u 0 db chown"))
	run(t, ctx, "one that cannot be browsed", panel("volumes"), panel("volumes"), do(`document.dispatchEvent(new CustomEvent("berth:browse-volume", {detail: {name: "cache"}}))`), until(has("is in memory (tmpfs)")),
		chromedp.KeyEvent("\x1b"), until(`document.querySelector("#dock-volumes .volumes").checkVisibility()`))
	run(t, ctx, "removed elsewhere", press("Browse volume pgdata"), until(has("pg_hba.conf")), do(`fetch("/api/v1/sessions/`+string(id)+`/docker/volumes/nothing", {method: "DELETE"})`))
	d.PutOther(nil, []map[string]any{{"Name": "cache", "Driver": "local"}})
	d.PutVolume("another", webtest.Volume{}, "")
	run(t, ctx, "back at the list", until(`document.querySelector("#dock-volumes .volumes").checkVisibility()`))
	for _, f := range faults() {
		t.Error(f)
	}
}

// Pictures of every kind are drawn, and one that is larger than memory is not even begun.
func TestPictures(t *testing.T) {
	s, ctx := newSite(t), newBrowser(t)
	faults := watch(t, ctx)
	id := s.open(t, ctx)
	d := s.docker(id)
	m, err := png.Decode(bytes.NewReader(stripes(t)))
	if err != nil {
		t.Fatal(err)
	}
	var asGIF, asJPEG bytes.Buffer
	if err := errors.Join(gif.Encode(&asGIF, m, nil), jpeg.Encode(&asJPEG, m, nil)); err != nil {
		t.Fatal(err)
	}
	bomb := stripes(t)
	binary.BigEndian.PutUint32(bomb[16:], 50_000) // its width, and its height
	binary.BigEndian.PutUint32(bomb[20:], 50_000)
	file := func(b []byte) *webtest.File { return &webtest.File{Data: b, Mode: "-rw-r--r--"} }
	d.PutVolume("art", webtest.Volume{
		"/a.gif": file(asGIF.Bytes()), "/b.jpg": file(asJPEG.Bytes()), "/c.png": file(stripes(t)), "/bomb.png": file(bomb), "/broken.png": file(bomb[:60]), "/text.png": file([]byte("no picture")),
	}, "")
	run(t, ctx, "a WebP", do(fmt.Sprintf(`{
		const c = document.createElement("canvas"); c.width = 240; c.height = 120; c.getContext("2d").fillRect(0, 0, 9, 9);
		c.toBlob((b) => fetch("/api/v1/sessions/%s/volumes/art/files/d.webp", {method: "PUT", body: b}), "image/webp");
	}`, id)), until("true"), panel("volumes"), press("Browse volume art"), until(has("d.webp")))
	for i, name := range []string{"a.gif", "b.jpg", "c.png", "d.webp"} {
		run(t, ctx, name, press(name+": show"), until(fmt.Sprintf(`[...document.querySelectorAll("#dock-volumes canvas")].filter((c) => c.width === 240 && c.height === 120).length === %d`, i+1)))
	}
	run(t, ctx, "too large", press("bomb.png: show"), until(has("50000 × 50000: too large")))
	run(t, ctx, "no picture", press("text.png: show"), until(has("no picture")), press("broken.png: show"), until(has("too large to be shown")))
	for _, f := range faults() {
		t.Error(f)
	}
}

func change(path, kind, what string, size int) map[string]any {
	return map[string]any{"path": path, "kind": kind, "type": what, "size": size}
}

func diff() []map[string]any {
	return []map[string]any{
		change("/etc", "changed", "directory", 0), change("/etc/nginx", "changed", "directory", 0), change("/etc/nginx/conf.d", "changed", "directory", 0),
		change("/etc/nginx/conf.d/default.conf", "changed", "file", 1093), change("/root", "changed", "directory", 0), change("/root/.ash_history", "added", "file", 42),
		change("/run", "changed", "directory", 0), change("/run/nginx.pid", "added", "file", 2), change("/usr/share/nginx/html/50x.html", "removed", "", 0),
		change("/var/cache/nginx", "changed", "directory", 0), change("/var/cache/nginx/client_temp", "added", "directory", 0), change("/var/cache/nginx/proxy_temp", "added", "directory", 0),
		change("/var/log/app/<b>bold.log", "added", "file", 3<<20), change("/var/log/app/current", "added", "symlink", 0),
	}
}

func TestWhatChanged(t *testing.T) {
	s, ctx := newSite(t), newBrowser(t)
	faults := watch(t, ctx)
	id := s.open(t, ctx)
	d := s.docker(id)
	furnish(d)
	d.PutChanges(id64("1"), diff()...)
	in := func(text string) step {
		return until(fmt.Sprintf(`document.querySelector("#dock-changes").innerText.includes(%q)`, text))
	}
	run(t, ctx, "from a container's row", panel("containers"), press("web, running: details"), press("What changed in web"), in("default.conf"), in("1 removed"), in("6 added"), in("3 MB"),
		in("<b>bold.log"), in("conf.d/"))
	run(t, ctx, "live", asked(d, `GET /v1/changes?container=`+id64("1")+`&limit=2000&filter= "`))
	d.PutChanges(id64("1"), append(diff(), change("/srv/new", "added", "file", 7))...)
	run(t, ctx, "something new", in("srv"), until(`document.querySelector("#dock-changes .fresh")?.innerText.includes("new")`))
	run(t, ctx, "folded stays folded", do(`document.querySelector('#dock-changes summary[data-path="/etc/nginx/conf.d"], #dock-changes summary').click()`), until(`document.querySelectorAll("#dock-changes details:not([open])").length === 1`))
	d.PutChanges(id64("1"), append(diff(), change("/srv/new", "added", "file", 8), change("/srv/more", "added", "file", 8))...)
	run(t, ctx, "folded stays folded", in("more"), until(`document.querySelectorAll("#dock-changes details:not([open])").length === 1`))
	run(t, ctx, "filter", click("#dock-changes [type=search]"), keys("nginx"), until(`!document.querySelector("#dock-changes .tree").innerText.includes("srv")`), in("nginx"))
	run(t, ctx, "another container", do(`{const s = document.querySelector("#dock-changes select"); s.value = "`+id64("3")+`"; s.dispatchEvent(new Event("change"))}`), in("No path that has changed"),
		do(`{const f = document.querySelector("#dock-changes [type=search]"); f.value = ""; f.dispatchEvent(new Event("input"))}`), in("Nothing has changed"))
	d.Refuse("POST commit", "invalid reference format: repository name (library/X) must be lowercase")
	run(t, ctx, "keep", do(`document.addEventListener("berth:inspect-image", (e) => window.inspected = e.detail.image)`), press("Keep this container's files as an image"), keys("X\r"), in("must be lowercase"))
	d.Refuse("POST commit", "")
	run(t, ctx, "kept", do(`document.querySelector("#keep-name").value = "reg:5000/team/site:v2"; document.querySelector("#keep-message").value = "with a config"; document.querySelector("#keep-pause").click()`),
		click(".keep .primary"), until(`window.inspected === "reg:5000/team/site:v2"`))
	want := "POST commit?container=" + id64("3") + "&repo=reg%3A5000%2Fteam%2Fsite&tag=v2&comment=with+a+config&author=&pause=0"
	run(t, ctx, "as docker commit", asked(d, want))
	for _, f := range faults() {
		t.Error(f)
	}
}

// The two panels in every look.
func TestVolumesAndChangesFit(t *testing.T) {
	s, ctx := newSite(t), newBrowser(t)
	faults := watch(t, ctx)
	for _, size := range sizes {
		t.Run(size.name, func(t *testing.T) {
			run(t, ctx, "set the look", look(size.dark, size.width, size.height))
			id := s.open(t, ctx)
			d := s.docker(id)
			furnish(d)
			stock(t, d)
			d.PutChanges(id64("1"), diff()...)
			shot := func(name string, steps ...step) {
				t.Helper()
				run(t, ctx, name, append(steps, fits(), do(still))...)
				picture(t, ctx, "volumes-"+name+"-"+size.name)
			}
			shot("list", panel("volumes"), until(`document.querySelector("#dock-volumes .rows").innerText.includes("KB")`), do(`document.getElementById("dock-grip").dispatchEvent(new KeyboardEvent("keydown", {key: "End"}))`))
			shot("browser", press("Browse volume pgdata"), until(has("pg_hba.conf")))
			shot("why", press("Why pg_hba.conf is not writable"), until(has("pg_hba.conf is owned by 0:0")), do(`document.querySelector(".opened .why").scrollIntoView({block: "center"})`))
			shot("text", press("pg_hba.conf: show"), until(has(`\x1b[31m`)), do(`document.querySelector(".preview").scrollIntoView({block: "center"})`))
			shot("picture", press("logo.png: show"), visible("#dock-volumes canvas"), do(`document.querySelector("canvas").scrollIntoView({block: "center"})`))
			shot("rename", press("Rename logo.png"), visible(".name-form"))
			shot("delete", chromedp.KeyEvent("\x1b"), press("Delete logo.png"), visible(".doing.asks"))
			shot("hidden", chromedp.KeyEvent("\x1b"), do(`document.dispatchEvent(new CustomEvent("berth:browse-volume", {detail: {name: "cache"}}))`), until(has("is in memory (tmpfs)")))
			shot("changes", panel("changes"), until(`document.querySelector("#dock-changes .tree").innerText.includes("default.conf")`))
			shot("keep", press("Keep this container's files as an image"), visible(".keep"))
		})
	}
	for _, f := range faults() {
		t.Error(f)
	}
}

// A volume whose files have names that want to be more than names.
func TestHostileVolume(t *testing.T) {
	s, ctx := newSite(t), newBrowser(t)
	faults := watch(t, ctx)
	id := s.open(t, ctx)
	d := s.docker(id)
	const bad = `/"><img src=x onerror=alert(1)>?a=b&c#d%2e%2e` + "\u202e\n"
	d.PutVolume("bad", webtest.Volume{
		bad:                {Data: []byte("<b>x</b>"), Mode: bad, Owner: bad, Group: bad, Why: bad, Fix: "docker exec -u 0 x rm\nreboot"},
		"/not utf8 \ufffd": {Data: []byte("x"), Mode: "-rw-r--r--"}, "/" + strings.Repeat("a", 255): {Mode: "drwxr-xr-x"},
		"/what": {Mode: "Srwxr-xr-x"}, "/%2e%2e": {Data: []byte("two dots"), Mode: "-rw-r--r--"},
	}, "")
	asked := requests(t, ctx)
	run(t, ctx, "listed", panel("volumes"), press("Browse volume bad"), until(`document.querySelectorAll("#dock-volumes .files .entry").length === 5`), fits())
	run(t, ctx, "why and content", do(`[...document.querySelectorAll("#dock-volumes .stuck")].find((b) => !b.hidden).click()`), until(`document.querySelector(".opened .why")`), until(`!document.querySelector(".opened .why button")`), fits(),
		press("%2e%2e: show"), until(has("two dots")))
	run(t, ctx, "deleted by its own name", do(`[...document.querySelectorAll('[aria-label^="Delete"]')].find((b) => b.getAttribute("aria-label").includes("onerror")).click()`), click("#dock-volumes .doing.asks .solid"),
		until(`document.querySelectorAll("#dock-volumes .files .entry").length === 4`))
	run(t, ctx, "no name, no action", until(`[...document.querySelectorAll('[aria-label^="Delete not utf8"]')].every((b) => b.hidden)`), until(`!document.querySelector("#dock img, #dock script, dialog")`))
	for _, url := range asked() {
		if !strings.HasPrefix(url, s.url) {
			t.Errorf("the page asked for %s", url)
		}
	}
	for _, f := range faults() {
		t.Error(f)
	}
}
