package e2e_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"

	"berth/quotas"
	"berth/sessions"
)

func TestTypingReloadAndTabs(t *testing.T) {
	s, ctx := newSite(t), newBrowser(t)
	faults := watch(t, ctx)
	id := s.open(t, ctx)
	run(t, ctx, "type", typed("echo first light\r"), until(screenHas("first light", 2)))
	if got := s.Sandbox(id).Terminal("1").Input(); got != "echo first light\r" {
		t.Errorf("the shell was given %q", got)
	}
	run(t, ctx, "a second terminal", click("#new-tab"), until(`document.querySelectorAll(".tab").length === 2`), shows("root@debian"),
		typed("echo second shell\r"), until(screenHas("second shell", 2)))
	run(t, ctx, "a title", typed("title build\r"), until(`document.querySelector(".tab.on .tab-title").textContent === "2 build"`))
	run(t, ctx, "reload", chromedp.Reload(), until(`document.querySelectorAll(".tab").length === 2`), shows("second shell"),
		until(`document.querySelector(".tab.on .tab-title").textContent.startsWith("2")`))
	run(t, ctx, "ctrl-1", chromedp.KeyEvent("1", chromedp.KeyModifiers(chromedp.ModifierCtrl)), shows("first light"))
	if got := s.Sandbox(id).Terminal("1").Input(); got != "echo first light\r" {
		t.Errorf("after the reload the shell was given %q", got)
	}
	run(t, ctx, "a program that ends", typed("exit 7\r"), until(`document.querySelector(".pane:not([hidden]) .foot").innerText.includes("exit status 7")`))
	run(t, ctx, "restart", click(".pane:not([hidden]) .foot button"), until(`document.querySelector(".pane:not([hidden]) .foot").hidden`),
		typed("echo again\r"), until(screenHas("again", 2)))
	run(t, ctx, "close a tab", click(".tab.on .tab-close"), click("dialog.ask .danger"), until(`document.querySelectorAll(".tab").length === 1`), shows("second shell"))
	if names := s.Sandbox(id).Names(); strings.Join(names, ",") != "2" {
		t.Errorf("the machine has the terminals %v", names)
	}
	run(t, ctx, "end", click("#end"), click("dialog.ask .danger"), until(`document.querySelector("h1").textContent === "You ended this session"`))
	for _, f := range faults() {
		t.Error(f)
	}
}

func screenHas(text string, times int) string {
	return fmt.Sprintf(`(%s).replaceAll("\u00a0", " ").split(%q).length > %d`, screenText, text, times)
}

// The link is cut again and again while the shell prints and the visitor types: every byte arrives once.
func TestCutLinksLoseNothing(t *testing.T) {
	s, ctx := newSite(t), newBrowser(t)
	id := s.open(t, ctx)
	box := s.Sandbox(id)
	shell := box.Terminal("1")
	var want strings.Builder
	for i := range 8 {
		word := fmt.Sprintf("echo word%d\r", i)
		want.WriteString(word)
		if i%2 == 1 {
			box.Refuse(true)
			box.Cut()
		}
		run(t, ctx, "type", typed(word))
		shell.Print(fmt.Sprintf("[background %d]\r\n", i))
		if i == 5 {
			run(t, ctx, "it says so", until(`document.getElementById("link").textContent.includes("reconnecting")`))
		}
		box.Refuse(false)
		run(t, ctx, "both ways", until(screenHas(fmt.Sprintf("[background %d]", i), 1)), until(screenHas(fmt.Sprintf("word%d", i), 2)))
	}
	if got := shell.Input(); got != want.String() {
		t.Errorf("the shell was given %q, typed was %q", got, want.String())
	}
	for i := range 8 {
		run(t, ctx, "printed once", until("!("+screenHas(fmt.Sprintf("[background %d]", i), 2)+")"))
	}
	run(t, ctx, "all is well", until(`document.getElementById("link").textContent === ""`))
}

// A terminal that was closed elsewhere goes away; it is not made anew by coming back to it.
func TestClosedElsewhere(t *testing.T) {
	s, ctx := newSite(t), newBrowser(t)
	id := s.open(t, ctx)
	run(t, ctx, "a second terminal", click("#new-tab"), shows("root@debian"), until(`document.querySelectorAll(".tab").length === 2`))
	run(t, ctx, "closed elsewhere", do(`fetch("/api/v1/sessions/" + location.pathname.slice(3) + "/terminals/2", { method: "DELETE" })`),
		until(`document.querySelectorAll(".tab").length === 1`), shows("root@debian"))
	if names := s.Sandbox(id).Names(); strings.Join(names, ",") != "1" {
		t.Errorf("the machine has the terminals %v", names)
	}
}

// What is typed while the link is down and the page is reloaded still arrives.
func TestReloadWhileTheLinkIsDown(t *testing.T) {
	s, ctx := newSite(t), newBrowser(t)
	box := s.Sandbox(s.open(t, ctx))
	run(t, ctx, "settled", until(screenHas("root@debian", 1)))
	box.Refuse(true)
	box.Cut()
	run(t, ctx, "type and reload", typed("echo kept\r"), chromedp.Reload())
	box.Refuse(false)
	run(t, ctx, "it arrives", until(screenHas("kept", 2)))
	if got := box.Terminal("1").Input(); got != "echo kept\r" {
		t.Errorf("the shell was given %q", got)
	}
}

func TestFloodIsAcknowledged(t *testing.T) {
	s, ctx := newSite(t), newBrowser(t)
	shell := s.Sandbox(s.open(t, ctx)).Terminal("1")
	run(t, ctx, "flood", typed("seq 20000\r"), shows("20000"))
	deadline := time.After(patience)
	for {
		acked, printed := shell.Acked()
		if acked == printed {
			return
		}
		select {
		case <-time.After(10 * time.Millisecond):
		case <-deadline:
			t.Fatalf("%d of %d bytes acknowledged", acked, printed)
		}
	}
}

// A notice of a full disk stays while the disk is full, and no longer.
func TestDiskNoticeGoes(t *testing.T) {
	s, ctx := newSite(t), newBrowser(t)
	id := s.open(t, ctx)
	var limits quotas.Limits
	s.Change(id, func(x *sessions.Session) { limits = x.Limits })
	run(t, ctx, "listening", s.watched(id))
	use := func(free int64) {
		s.Publish(id, sessions.Event{Type: sessions.EventUsage, Usage: &quotas.Usage{At: time.Now(), DiskFree: free, InodesFree: 1, DiskBytes: limits.DiskBytes - free}})
	}
	say := func(kind, message string) {
		s.Publish(id, sessions.Event{Type: sessions.EventNotice, Notice: &sessions.Notice{Kind: kind, Message: message}})
	}
	said := func(text string) string {
		return fmt.Sprintf(`document.getElementById("notices").innerText.includes(%q)`, text)
	}
	say("disk", "disk: 2 MB are left.")
	say("inodes", "disk: 3 files are left.")
	use(limits.DiskBytes / 50)
	use(limits.DiskBytes / 25)
	say("memory", "memory: the limit was reached.")
	run(t, ctx, "still nearly full", until(said("memory:")), until(said("2 MB are left")), until(said("3 files are left")))
	use(limits.DiskBytes / 10)
	run(t, ctx, "room again", until("!"+said("2 MB are left")), until(said("memory:")), until(said("3 files are left")))
}

func TestStates(t *testing.T) {
	s, ctx := newSite(t), newBrowser(t)
	s.SetNewState(sessions.Queued)
	run(t, ctx, "queue", simple(s.url), chromedp.Navigate(s.url), click(`button[value="debian"]`), until(`document.getElementById("place")?.textContent === "3"`))
	id := s.here(t, ctx)
	run(t, ctx, "listening", s.watched(id))
	s.Change(id, func(x *sessions.Session) { x.QueuePosition = 1 })
	run(t, ctx, "moves up", until(`document.getElementById("place").textContent === "1"`))
	s.Change(id, func(x *sessions.Session) { x.State, x.QueuePosition = sessions.Starting, 0 })
	run(t, ctx, "starts", until(`document.getElementById("waiting-title").textContent === "Starting Debian"`))
	s.Change(id, func(x *sessions.Session) {
		x.State, x.ExpiresAt, x.MaxExpiresAt = sessions.Ready, time.Now().Add(time.Minute), time.Now().Add(90*time.Second)
	})
	run(t, ctx, "is ready", shows("root@debian"), until(`document.getElementById("countdown").classList.contains("soon")`))
	s.Publish(id, sessions.Event{Type: sessions.EventNotice, Notice: &sessions.Notice{Kind: "expiring", Message: "One minute left: extend it or save your work."}})
	run(t, ctx, "warns", until(`document.getElementById("notices").innerText.includes("One minute left")`))
	run(t, ctx, "extend", click("#extend"), until(`document.getElementById("extend").disabled`), until(`!document.getElementById("notices").innerText.includes("One minute")`))
	s.Finish(id, sessions.OutOfMemory, "The machine used 512 of 512 MB.")
	run(t, ctx, "says why it ended", until(`document.querySelector("h1").textContent === "Out of memory"`), until(`document.body.innerText.includes("512 of 512 MB")`))
	s.SetNewState(sessions.Ready)
	run(t, ctx, "starts again", click("form .primary"), shows("root@debian"))
	if s.here(t, ctx) == id {
		t.Error("start again led to the old session")
	}
}

func (s *site) watched(id sessions.ID) step {
	return chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
		for s.Watching(id) == 0 {
			select {
			case <-time.After(10 * time.Millisecond):
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		return nil
	})
}

func TestKeyboardAndPhoneKeys(t *testing.T) {
	s, ctx := newSite(t), newBrowser(t)
	shell := s.Sandbox(s.open(t, ctx)).Terminal("1")
	ctrl := chromedp.KeyModifiers(chromedp.ModifierCtrl)
	run(t, ctx, "palette", chromedp.KeyEvent("k", ctrl), visible("dialog.palette"), keys("new term\r"), until(`document.querySelectorAll(".tab").length === 2`))
	run(t, ctx, "ctrl-k twice", chromedp.KeyEvent("1", ctrl), chromedp.KeyEvent("k", ctrl), visible("dialog.palette"), chromedp.KeyEvent("k", ctrl), until(`!document.querySelector("dialog")`), shows("^K"))
	run(t, ctx, "phone", chromedp.EmulateViewport(360, 640), click("#keys button:nth-child(3)"), keys("c"), shows("^C"), click("#keys button:nth-child(1)"), click("#keys button:nth-child(4)"), shows("^[^[[A"))
	if got := shell.Input(); got != "\x0b\x03\x1b\x1b[A" {
		t.Errorf("the shell was given %q", got)
	}
	for deadline := time.After(patience); ; { // the page asks for the size a moment after the keys
		cols, rows := shell.Size()
		if cols >= 30 && cols <= 50 && rows >= 10 {
			break
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-deadline:
			t.Fatalf("on a phone the shell has %d columns, %d rows", cols, rows)
		}
	}
}

// A page of another origin, and of a sibling host name, tries what only ours may do.
func TestForeignPagesGetNothing(t *testing.T) {
	s, ctx := newSite(t), newBrowser(t)
	id := s.open(t, ctx)
	evil := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprintf(w, `<script>
			const at = %q, id = %q;
			const ws = (path) => new Promise((done) => { const s = new WebSocket(at.replace("http", "ws") + path, ["berth.terminal.v1", "berth.exec.v1"]); s.onopen = () => done("open"); s.onerror = () => done("refused"); });
			const get = (path, o) => fetch(at + path, { credentials: "include", ...o }).then((r) => r.text()).catch(() => "refused");
			const frame = () => new Promise((done) => { const f = document.createElement("iframe"); f.src = at + "/s/" + id; f.onload = () => { try { done(f.contentDocument ? "refused" : "refused") } catch { done("refused") } }; document.body.append(f); });
			const script = () => new Promise((done) => { const f = document.createElement("script"); f.src = at + "/api/v1/sessions/" + id + "/files/x.js"; f.onload = () => done("open"); f.onerror = () => done("refused"); document.head.append(f); });
			addEventListener("load", async () => {
				const p = "/api/v1/sessions/" + id;
				const all = await Promise.all([ws(p + "/terminals/1"), ws(p + "/exec?cmd=id"), get(p), get(p, { method: "DELETE" }), get(p + "/extend", { method: "POST" }), get("/sessions", { method: "POST", body: new URLSearchParams({ environment: "debian" }), mode: "no-cors" }).then((x) => x === "" ? "refused" : x), script(), frame()]);
				document.title = all.join(",");
			});
		</script><body></body>`, s.url, id)
	}))
	t.Cleanup(evil.Close)
	before := len(s.Requests())
	port := evil.URL[strings.LastIndex(evil.URL, ":"):]
	for _, page := range []string{evil.URL, "http://localhost" + port, "http://8080-" + string(id) + ".localhost" + port} {
		run(t, ctx, "foreign page at "+page, chromedp.Navigate(page), until(`document.title !== ""`))
		title, err := chromedp.Run(ctx, chromedp.Title())
		if err != nil || strings.ReplaceAll(title, "refused", "") != ",,,,,,," {
			t.Errorf("a page at %s got %q, %v", page, title, err)
		}
	}
	if n := len(s.Requests()); n != before {
		t.Errorf("foreign pages created %d sessions", n-before)
	}
	if x, err := s.Get(t.Context(), sessions.Credential{Admin: true}, id); err != nil || x.State != sessions.Ready {
		t.Errorf("the session is %s, %v", x.State, err)
	}
}

// What a program may print to attack its viewer.
var hostile = []string{
	"\x1b]0;<img src=x onerror=alert(1)>\x07", "\x1b]2;" + strings.Repeat("A", 100_000) + "\x07", "\x1b]0;\u202egnp.exe\x07",
	"\x1b]52;c;c3RvbGVu\x07", "\x1b]52;c;?\x07", "\x1b]8;;javascript:alert(1)\x07click\x1b]8;;\x07", "\x1b]8;;data:text/html,<script>alert(1)</script>\x07click\x1b]8;;\x07",
	"javascript:alert(1) http://evil.example/?x=\"><script>alert(1)</script>\r\n", "<script>alert(1)</script><svg onload=alert(1)>\r\n",
	"\x1b[21t\x1b[20t\x1b[14t", "\x1b]1337;File=inline=1:" + strings.Repeat("QUFB", 1000) + "\x07", "\x1bP+q544e\x1b\\", "\x1b]4;1;?\x07",
	"\x1b[99999999;99999999H\x1b[2147483647b", "\x1b]7;file://evil.example/x\x07", "\x1b]9;notify\x07\x1b]777;notify;a;b\x07", "\x1b^private\x1b\\\x1b_app\x1b\\", "\xff\xfe\x80\x00\x1b[?1049h\x1b[?1049l",
}

func TestHostileOutput(t *testing.T) {
	s, ctx := newSite(t), newBrowser(t)
	faults := watch(t, ctx)
	shell := s.Sandbox(s.open(t, ctx)).Terminal("1")
	run(t, ctx, "watch the clipboard", do(`window.stolen = []; navigator.clipboard.writeText = (t) => { stolen.push(t); return Promise.resolve() }; navigator.clipboard.readText = () => { stolen.push("read"); return Promise.resolve("secret") }; document.addEventListener("copy", () => stolen.push("copy")); window.open = (u) => { stolen.push(u) }`))
	asked := requests(t, ctx)
	for _, h := range hostile {
		shell.Print(h)
	}
	shell.Print("\x1bc\r\nthe corpus is through\r\n")
	run(t, ctx, "go on", shows("the corpus is through"), typed("\recho alive\r"), until(screenHas("alive", 2)))
	run(t, ctx, "clean", until(`window.stolen.length === 0 && !document.querySelector("script:not([src]), .tab img, dialog[open]") && document.querySelector(".tab.on .tab-title").textContent.length < 60`))
	for _, url := range asked() {
		if !strings.HasPrefix(url, s.url) {
			t.Errorf("the page asked for %s", url)
		}
	}
	if got := shell.Input(); strings.Contains(got, "c3RvbGVu") || strings.Contains(got, "stolen") || strings.Contains(got, "secret") {
		t.Errorf("the page told the shell %q", got)
	}
	before := shell.Input()
	run(t, ctx, "seen anew", chromedp.Reload(), shows("alive"), typed("echo after\r"), until(screenHas("after", 2)))
	if got := strings.TrimPrefix(shell.Input(), before); got != "echo after\r" {
		t.Errorf("seeing the output anew typed an answer into the shell: %q", got)
	}
	for _, f := range faults() {
		t.Error(f)
	}
}

// requests collects what the browser asks for from now on.
func requests(t *testing.T, ctx context.Context) func() []string {
	t.Helper()
	found := make(chan string, 1000)
	err := chromedp.Listen(ctx, func(e any) {
		if r, ok := e.(*network.EventRequestWillBeSent); ok {
			select {
			case found <- r.Request.URL:
			default:
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return func() (all []string) {
		for {
			select {
			case u := <-found:
				all = append(all, u)
			default:
				return all
			}
		}
	}
}

// Without a choice the page draws with WebGL where the browser has it, and without where not; either way the shell works.
func TestDefaultRenderer(t *testing.T) {
	s, ctx := newSite(t), newBrowser(t)
	faults := watch(t, ctx)
	run(t, ctx, "open", chromedp.Navigate(s.url), click(`button[value="debian"]`), visible(".xterm-screen"), typed("echo drawn\r"))
	shell := s.Sandbox(s.here(t, ctx)).Terminal("1")
	for deadline := time.After(patience); shell.Input() != "echo drawn\r"; {
		select {
		case <-time.After(10 * time.Millisecond):
		case <-deadline:
			t.Fatalf("the shell was given %q", shell.Input())
		}
	}
	run(t, ctx, "the other theme and size", do(`document.getElementById("more").click()`), visible("dialog.palette"), keys("theme\r"),
		until(`document.documentElement.dataset.theme`), chromedp.EmulateViewport(700, 500))
	picture(t, ctx, "renderer")
	drawn, err := chromedp.Run(ctx, chromedp.Evaluate[string](`document.querySelector(".xterm-screen > canvas") ? "WebGL" : "the DOM"`))
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("drawn with %s", drawn)
	for _, f := range faults() {
		t.Error(f)
	}
}
