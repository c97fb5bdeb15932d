package e2e_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
)

// rest asks the API as the session's owner, and returns the status and the body.
func (s *session) rest(server *server, method, path, body string) (int, string) {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), method, server.url+"/api/v1/sessions/"+string(s.id)+path, strings.NewReader(body))
	must(s.t, err)
	req.Header.Set("Authorization", "Bearer "+s.token)
	res, err := http.DefaultClient.Do(req)
	must(s.t, err)
	b, err := io.ReadAll(res.Body)
	_ = res.Body.Close()
	must(s.t, err)
	return res.StatusCode, string(b)
}

func (s *session) want(server *server, method, path, body string, status int) string {
	s.t.Helper()
	got, answer := s.rest(server, method, path, body)
	if got != status {
		s.t.Fatalf("%s %s: %d %s, want %d", method, path, got, answer, status)
	}
	return answer
}

func (s *session) script(t *testing.T, script string) string {
	t.Helper()
	out := s.sh("exec 2>&1; " + script)
	if out.ExitCode != 0 {
		t.Fatalf("%s: %d %s", script, out.ExitCode, out.Stdout)
	}
	return out.Stdout
}

// volumeView is GET /volumes/NAME/files/PATH?about.
type volumeView struct {
	Container *struct {
		Name, User string
		UID        int
		RW         bool
		Running    bool
	}
	Directory volumeEntry
	Entries   []volumeEntry
	Total     int
}

type volumeEntry struct {
	Name, Type, Mode, Owner, Group, Why, Fix string
	UID, GID                                 int
	Size                                     int64
}

func (v volumeView) entry(t *testing.T, name string) volumeEntry {
	t.Helper()
	for _, e := range v.Entries {
		if e.Name == name {
			return e
		}
	}
	t.Fatalf("no %s in %+v", name, v)
	return volumeEntry{}
}

func (s *session) view(server *server, volume, path, query string) (v volumeView) {
	s.t.Helper()
	must(s.t, json.Unmarshal([]byte(s.want(server, "GET", "/volumes/"+volume+"/files"+path+"?about&"+query, "", 200)), &v))
	return v
}

// A volume of a real session: what is in it, whose it is, why the container's user cannot write, and that the command that is
// told mends it.
func TestVolumes(t *testing.T) {
	s := newServer(t, dockerEnvironments)
	s.start()
	v := s.open("debian")
	v.t = t
	v.script(t, `docker volume create data >/dev/null && docker run --rm -v data:/data busybox sh -c "mkdir -p /data/own /data/closed && echo hello >/data/own/a.txt && chown -R 1000:1000 /data/own && chmod 700 /data/closed"
docker create --name base busybox >/dev/null; printf 'root:x:0:0:root:/root:/bin/sh\napp:x:1000:1000::/:/bin/sh\n' >passwd; printf 'root:x:0:\nstaff:x:1000:\n' >group
docker cp -q passwd base:/etc/passwd; docker cp -q group base:/etc/group; docker commit base named >/dev/null; docker rm base >/dev/null`)

	view := v.view(s, "data", "/", "")
	if view.Container != nil || view.Total != 2 || view.entry(t, "own").UID != 1000 || view.entry(t, "own").Owner != "" {
		t.Errorf("nobody mounts it: %+v", view)
	}
	v.script(t, `docker run -d --name web -u app -v data:/data named sleep 999`)
	view = v.view(s, "data", "/", "")
	if c := view.Container; c == nil || c.Name != "web" || c.User != "app" || c.UID != 1000 || !c.Running || !c.RW {
		t.Errorf("mounted: %+v", c)
	}
	if e := view.entry(t, "own"); e.Owner != "app" || e.Group != "staff" || e.Why != "" {
		t.Errorf("its own: %+v", e)
	}
	if e := view.entry(t, "closed"); e.Owner != "root" || !strings.Contains(e.Why, `web runs as uid 1000 "app"`) {
		t.Errorf("root's: %+v", e)
	}
	if out := v.sh("docker exec web touch /data/new"); out.ExitCode == 0 || view.Directory.Why == "" {
		t.Errorf("the kernel says %d, we say %q", out.ExitCode, view.Directory.Why)
	}
	if view.Directory.Fix != "docker exec -u 0 web chown -R 1000:1000 /data" {
		t.Errorf("the command is %q", view.Directory.Fix)
	}
	v.script(t, view.Directory.Fix+" && docker exec web touch /data/new")
	if view = v.view(s, "data", "/", ""); view.Directory.Why != "" || view.entry(t, "closed").Why != "" {
		t.Errorf("mended: %+v", view)
	}

	v.want(s, "POST", "/volumes/data/files/up?mkdir", "", 201)
	v.want(s, "PUT", "/volumes/data/files/up/b.txt", "from outside", 204)
	if got := v.script(t, "docker exec web cat /data/up/b.txt"); got != "from outside" {
		t.Errorf("the container reads %q", got)
	}
	if e := v.view(s, "data", "/up", "").entry(t, "b.txt"); e.Why != "" || e.Owner != "app" || e.Group != "staff" { // as its directory
		t.Errorf("uploaded: %+v", e)
	}
	if got := v.want(s, "GET", "/volumes/data/files/own/a.txt", "", 200); got != "hello\n" {
		t.Errorf("read %q", got)
	}
	if got := v.want(s, "GET", "/volumes/data/files/own?archive=tar", "", 200); !strings.Contains(got, "a.txt") || len(got)%512 != 0 {
		t.Errorf("a tar of %d bytes", len(got))
	}
	v.want(s, "DELETE", "/volumes/data/files/up", "", 204)

	v.script(t, `docker rm -f web >/dev/null; docker run -d --name ro -v data:/data:ro busybox sleep 999; docker create --name late -u 5 -v data:/srv/data busybox`)
	if view = v.view(s, "data", "/", ""); !strings.Contains(view.Directory.Why, "ro mounts this volume read-only at /data") {
		t.Errorf("read-only: %+v", view.Directory)
	}
	if view = v.view(s, "data", "/", "container=late"); view.Container.Running || view.Container.UID != 5 || !strings.Contains(view.Directory.Fix, "--volumes-from late") {
		t.Errorf("one that does not run: %+v", view)
	}
	v.script(t, view.Directory.Fix)
	if view = v.view(s, "data", "/", "container=late"); view.Directory.Why != "" {
		t.Errorf("mended: %+v", view.Directory)
	}
}

// Who is told that they cannot write, cannot, and who is not, can: the kernel is asked.
func TestWhyIsTrue(t *testing.T) {
	s := newServer(t, dockerEnvironments)
	s.start()
	v := s.open("debian")
	v.t = t
	v.script(t, `docker run --rm -v data:/d busybox sh -c 'cd /d; for m in 755 775 777 700 1777 555 070 007; do for o in 0:0 1000:1000 5:44 5:50 1000:0; do
		mkdir $m-$o; chown $o $m-$o; chmod $m $m-$o; n=f-$m-$o; echo >$n; chown $o $n; chmod $m $n; done; done; mkdir shut; echo >shut/f; chmod 666 shut/f; chmod 700 shut; chmod 755 .'`)
	for name, options := range map[string]string{
		"root": "", "bare": "--cap-drop ALL", "some": "--cap-drop ALL --cap-add DAC_READ_SEARCH", "user": "-u 1000", "both": "-u 1000:1000", "group": "-u 7:50",
		"more": "-u 7:7 --group-add 44", "init": "--init -u 1000:1000", "privileged": "--privileged", "privileged-user": "--privileged -u 1000",
	} {
		v.script(t, "docker run -d --name "+name+" "+options+" -v data:/d busybox sleep 999")
		out := v.script(t, `docker exec `+name+` sh -c 'cd /d; for f in . * shut/f; do
			if [ -d "$f" ] || [ "${f#shut}" = "$f" ] && [ "${f#f-}" = "$f" ]; then (: >$f/.probe) 2>/dev/null && rm $f/.probe && echo "$f yes" || echo "$f no"
			else (: >>$f) 2>/dev/null && echo "$f yes" || echo "$f no"; fi; done'`)
		kernel := map[string]bool{}
		for line := range strings.Lines(out) {
			f, can, _ := strings.Cut(strings.TrimSpace(line), " ")
			kernel[f] = can == "yes"
		}
		view := v.view(s, "data", "/", "container="+name)
		view.Entries = append(view.Entries, view.Directory)
		inside := v.view(s, "data", "/shut", "container="+name).entry(t, "f")
		inside.Name = "shut/f"
		for _, e := range append(view.Entries, inside) {
			if can, asked := kernel[e.Name]; !asked || can != (e.Why == "") {
				t.Errorf("%s, %s %s %d:%d: the kernel says %v (%v), we say %q", name, e.Name, e.Mode, e.UID, e.GID, can, asked, e.Why)
			}
		}
		v.script(t, "docker rm -f "+name)
	}
}

// The list, and volumes that are no directories of their own.
func TestVolumesList(t *testing.T) {
	s := newServer(t, dockerEnvironments)
	s.start()
	v := s.open("debian")
	v.t = t
	v.script(t, `docker volume create data; docker volume create -o type=tmpfs -o device=tmpfs memory
mkdir -p /srv/site; echo hi >/srv/site/index.html; docker volume create -o type=none -o o=bind -o device=/srv/site bound
docker run --rm -v data:/d busybox sh -c 'echo 12345 >/d/a; ln /d/a /d/b; dd if=/dev/zero of=/d/c bs=1k count=4 2>/dev/null'
docker run -d --name user -v data:/d:ro busybox sleep 999`)
	var all []struct {
		Name   string
		Size   *int64
		Hidden string
		UsedBy []struct {
			Name, Destination string
			RW, Running       bool
		} `json:"used_by"`
	}
	must(t, json.Unmarshal([]byte(v.want(s, "GET", "/volumes", "", 200)), &all))
	if len(all) != 3 || all[0].Name != "bound" || all[1].Name != "data" || all[2].Name != "memory" {
		t.Fatalf("%+v", all)
	}
	if d := all[1]; d.Size == nil || *d.Size != 4102 || len(d.UsedBy) != 1 || d.UsedBy[0].Name != "user" || d.UsedBy[0].RW || !d.UsedBy[0].Running {
		t.Errorf("%+v", d)
	}
	if df := v.script(t, `docker system df -v --format '{{range .Volumes}}{{.Name}} {{.Size}}{{println}}{{end}}'`); !strings.Contains(df, "data 4.102kB") {
		t.Errorf("docker counts %s", df)
	}
	if !strings.Contains(all[0].Hidden, "/srv/site") || !strings.Contains(all[2].Hidden, "in memory") {
		t.Errorf("%+v", all)
	}
	for _, name := range []string{"memory", "bound"} {
		if got := v.want(s, "GET", "/volumes/"+name+"/files/", "", 409); !strings.Contains(got, "container") {
			t.Errorf("%s: %s", name, got)
		}
	}
	v.want(s, "PUT", "/volumes/memory/files/lost", "x", 409)
	v.script(t, `docker run -d --name special -v memory:/m -v bound:/b busybox sh -c 'echo in memory >/m/x; sleep 999'`)
	eventually(t, patience, func() error {
		if code, body := v.rest(s, "GET", "/volumes/memory/files/x", ""); code != 200 || body != "in memory\n" {
			return &url.Error{Op: "read", URL: body, Err: io.ErrUnexpectedEOF}
		}
		return nil
	})
	v.want(s, "PUT", "/volumes/bound/files/new.html", "x", 204)
	if got := v.script(t, "cat /srv/site/new.html"); got != "x" {
		t.Errorf("the machine has %q", got)
	}
	v.want(s, "GET", "/volumes/none/files/", "", 404)
	v.want(s, "GET", "/volumes/..%2f..%2f/files/", "", 400)
}

// What a container changed, against the docker command's word.
func TestChanges(t *testing.T) {
	s := newServer(t, dockerEnvironments)
	s.start()
	v := s.open("debian")
	v.t = t
	v.script(t, `docker run --name done busybox sh -c 'echo hello >/etc/motd; echo more >>/etc/passwd; rm /etc/group; mkdir -p /srv/a; ln -s /etc /srv/a/link'`)
	var c struct {
		Total, Added, Changed, Removed int
		Bytes                          int64
		More                           bool
		Changes                        []struct {
			Path, Kind, Type string
			Size             int64
		}
	}
	must(t, json.Unmarshal([]byte(v.want(s, "GET", "/changes?container=done", "", 200)), &c))
	var lines []string
	for _, change := range c.Changes {
		lines = append(lines, map[string]string{"added": "A", "changed": "C", "removed": "D"}[change.Kind]+" "+change.Path)
		if change.Path == "/etc/motd" && (change.Size != 6 || change.Type != "file") || change.Path == "/srv/a/link" && change.Type != "symlink" {
			t.Errorf("%+v", change)
		}
	}
	if diff := strings.TrimSpace(v.script(t, "docker diff done")); strings.Join(lines, "\n") != diff || c.Total != len(lines) || c.More {
		t.Errorf("%+v\ndocker diff says\n%s", c, diff)
	}
	must(t, json.Unmarshal([]byte(v.want(s, "GET", "/changes?container=done&filter=MOTD", "", 200)), &c))
	if c.Total != 1 || c.Changes[0].Path != "/etc/motd" {
		t.Errorf("%+v", c)
	}
	v.want(s, "GET", "/changes?container=nobody", "", 404)
	v.want(s, "GET", "/changes", "", 400)
}

// dropped drops a file on the volume that is open.
func dropped(name, content string) step {
	return script(fmt.Sprintf(`{
		const data = new DataTransfer();
		data.items.add(new File([%q], %q));
		document.querySelector("#dock-volumes .browser").dispatchEvent(new DragEvent("drop", {dataTransfer: data, bubbles: true, cancelable: true}));
	}`, content, name))
}

func inPanel(panel, text string) step {
	return until(fmt.Sprintf(`document.querySelector("#dock-%s").innerText.includes(%q)`, panel, text))
}

// TestVolumePanel does in Chromium what a visitor with a permission problem does, and keeps a container as an image.
func TestVolumePanel(t *testing.T) {
	s := serve(t)
	b := newBrowser(t)
	b.do("first page", look("light", 1280, 900), chromedp.Navigate(s.url+"/healthz"), script(`localStorage.setItem("berth.renderer", "dom")`),
		chromedp.Navigate(s.url+"/"), click(`button[value="debian"]`), visible(".xterm-rows"), shows("root@debian"))
	b.do("a volume", click("#dock-tab-volumes"), script(`document.getElementById("dock-grip").dispatchEvent(new KeyboardEvent("keydown", {key: "End"}))`),
		click("#volume-name"), script(`document.getElementById("volume-name").value = "data"; document.querySelector("#dock-volumes form").requestSubmit()`), inPanel("volumes", "data"))
	b.do("a container of another user", types("clear; docker run -d --name app -u 1000 -v data:/data busybox sleep 999\r"), named("Container app"),
		named("Browse volume data of app"), inPanel("volumes", "/data is owned by 0:0 (root) with mode 755, and app runs as uid 1000"))
	b.picture("volume-why")
	b.do("the kernel agrees", types("clear; docker exec app touch /data/x\r"), shows("Permission denied"))
	b.do("mended by the command", click(".browser > .why button"), shows("docker exec -u 0 app chown -R 1000:0 /data"), types("\r"),
		until(`document.querySelector(".browser > .why").hidden`), types("clear; docker exec app touch /data/x && echo do''ne\r"), shows("done"), inPanel("volumes", "x"))
	b.do("upload", dropped("hello there.txt", "from the page"), inPanel("volumes", "hello there.txt"), named("hello there.txt: show"), inPanel("volumes", "from the page"),
		types("clear; docker exec app cat '/data/hello there.txt'\r"), shows("from the page"))
	b.picture("volume-files")
	b.do("delete", named("Delete hello there.txt"), click("#dock-volumes .doing.asks .solid"), until(`!document.querySelector("#dock-volumes").innerText.includes("hello there.txt")`))
	b.do("in use", click("#dock-volumes .log-bar button"), named("Remove volume data"), click("#dock-volumes .doing.asks .solid"), inPanel("volumes", "volume is in use"))
	b.do("what changed, live", click("#dock-tab-changes"), inPanel("changes", "1 added"), types("clear; docker exec -u 0 app sh -c 'mkdir /srv; echo 12345 >/srv/new.txt; rm /etc/group'\r"),
		inPanel("changes", "new.txt"), inPanel("changes", "1 removed"), inPanel("changes", "6 B"))
	b.picture("changes")
	b.do("kept as an image", named("Keep this container's files as an image"), script(`document.getElementById("keep-name").value = "mine:v1"; document.querySelector(".keep").requestSubmit()`),
		until(`document.querySelector(".keep").hidden`), types("clear; docker run --rm mine:v1 cat /srv/new.txt\r"), shows("12345"))
	b.do("the list of a phone", look("light", 360, 720), click("#dock-tab-volumes"), inPanel("volumes", "data"))
	close(b.faults)
	for f := range b.faults {
		t.Error("script: ", f)
	}
}
