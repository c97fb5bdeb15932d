package e2e_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// step is one thing done in the browser.
type step = chromedp.Action[chromedp.Void]

// browser is a Chromium with a profile of its own.
type browser struct {
	t      *testing.T
	ctx    context.Context
	faults chan string // errors of scripts
}

// newBrowser starts a Chromium, or skips where there is none.
func newBrowser(t *testing.T) *browser {
	t.Helper()
	path := ""
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome", "chrome"} {
		if p, err := exec.LookPath(name); err == nil {
			path = p
			break
		}
	}
	if path == "" {
		t.Skip("needs Chromium: apt-get install chromium")
	}
	profile, err := os.MkdirTemp("", "berth-chromium-") //nolint:usetesting // what Chromium still writes when it ends fails no test
	must(t, err)
	opts := append([]chromedp.ExecAllocatorOption{}, chromedp.NoFirstRun, chromedp.NoDefaultBrowserCheck, chromedp.Headless,
		chromedp.ExecPath(path), chromedp.UserDataDir(profile), chromedp.DisableGPU, chromedp.WSURLReadTimeout(time.Minute),
		chromedp.Flag("disable-background-networking", true), chromedp.Flag("disable-component-update", true),
		chromedp.Flag("disable-sync", true), chromedp.Flag("hide-scrollbars", true))
	if os.Geteuid() == 0 {
		opts = append(opts, chromedp.NoSandbox)
	}
	alloc, stop := chromedp.NewExecAllocator(context.Background(), opts...)
	ctx, cancel := chromedp.NewContext(alloc)
	t.Cleanup(func() {
		_ = chromedp.Cancel(ctx) // waits for the browser
		cancel()
		stop()
		_ = os.RemoveAll(profile)
	})
	b := &browser{t: t, ctx: ctx, faults: make(chan string, 100)}
	if err := chromedp.Do(ctx, focused(), chromedp.Navigate("about:blank")); err != nil { // no shorter context: the browser lives as long
		t.Fatalf("start %s: %v", path, err)
	}
	must(t, chromedp.Listen(ctx, func(e any) {
		if e, ok := e.(*runtime.EventExceptionThrown); ok {
			select {
			case b.faults <- fmt.Sprint(e.ExceptionDetails.Text, " ", e.ExceptionDetails.Exception):
			default: // 100 are enough to read
			}
		}
	}))
	return b
}

// focused has the page take itself for the one that is looked at: some versions of Chromium without a window do not, and send no focus
// events.
func focused() step {
	return chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, emulation.SetFocusEmulationEnabled, emulation.SetFocusEmulationEnabledParams{Enabled: true})
		return err
	})
}

// do fails the test where the page does not do what it should within patience.
func (b *browser) do(what string, steps ...step) {
	b.t.Helper()
	b.within(patience, what, steps...)
}

// long is do for what compiles something.
func (b *browser) long(what string, steps ...step) {
	b.t.Helper()
	b.within(6*patience, what, steps...)
}

func (b *browser) within(d time.Duration, what string, steps ...step) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, d)
	defer cancel()
	if err := chromedp.Do(ctx, steps...); err != nil {
		b.t.Fatalf("%s: %v\nthe page shows: %s", what, err, b.eval(`location.href + "\n" + document.body.innerText + "\n" + `+screenText))
	}
}

func (b *browser) eval(expression string) string {
	ctx, cancel := context.WithTimeout(b.ctx, 5*time.Second)
	defer cancel()
	text, err := chromedp.Run(ctx, chromedp.Evaluate[string](expression))
	if err != nil {
		return err.Error()
	}
	return text
}

// until waits for a JavaScript expression to be true, over navigations as well.
func until(expression string) step {
	return chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for {
			yes, err := chromedp.Evaluate[bool]("Boolean("+expression+")")(ctx, t)
			if err == nil && yes {
				return nil
			}
			select {
			case <-tick.C:
			case <-ctx.Done():
				return fmt.Errorf("never true: %s (%w, last: %v)", expression, ctx.Err(), err) //nolint:errorlint // err may be nil
			}
		}
	})
}

// script runs a script for its effect.
func script(text string) step { return chromedp.Evaluate[chromedp.Void](text) }

func visible(selector string) step {
	return until(fmt.Sprintf(`document.querySelector(%q)?.checkVisibility()`, selector))
}

func click(selector string) step {
	return chromedp.Steps(visible(selector), chromedp.Click(chromedp.CSS(selector)))
}

const screenText = `[...document.querySelectorAll(".pane:not([hidden]) .xterm-rows > div")].map((r) => r.textContent).join("\n").replaceAll("\u00a0", " ")`

func shows(text string) step { return until(fmt.Sprintf(`(%s).includes(%q)`, screenText, text)) }
func hides(text string) step { return until(fmt.Sprintf(`!(%s).includes(%q)`, screenText, text)) }

// types presses keys in the terminal that is seen. A key and its character are one event, as of a keyboard: where they are
// two, as chromedp.KeyEvent sends them, the page gets the character also of a key that it has dealt with.
func types(text string) step {
	return chromedp.Steps(script(`document.querySelector(".pane:not([hidden]) textarea").focus()`),
		chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
			for _, r := range text {
				events := kb.Encode(r)
				down, up := *events[0], *events[len(events)-1]
				if len(events) == 3 {
					down.Text, down.UnmodifiedText = events[1].Text, events[1].UnmodifiedText
				}
				for _, e := range []input.DispatchKeyEventParams{down, up} {
					if _, err := cdp.Call(ctx, t, input.DispatchKeyEvent, e); err != nil {
						return err
					}
				}
			}
			return nil
		}))
}

// look sets the colour scheme and the size of the window.
func look(scheme string, width, height int64) step {
	return chromedp.Steps(chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
		})
		return err
	}), chromedp.EmulateViewport(width, height))
}

// picture writes a screenshot into the folder that BERTH_SCREENSHOTS names, and none where it names none.
func (b *browser) picture(name string) {
	b.t.Helper()
	dir := os.Getenv("BERTH_SCREENSHOTS")
	if dir == "" {
		return
	}
	if !filepath.IsAbs(dir) { // tests run in their package's folder
		dir = filepath.Join("..", dir)
	}
	png, err := chromedp.Run(b.ctx, chromedp.CaptureScreenshot())
	must(b.t, err)
	must(b.t, os.MkdirAll(dir, 0o755))
	must(b.t, os.WriteFile(filepath.Join(dir, name+".png"), png, 0o644))
}

// TestVisitor does in Chromium what the README's tour says.
func TestVisitor(t *testing.T) {
	s := serve(t)
	b := newBrowser(t)
	b.do("first page", look("light", 1280, 640), chromedp.Navigate(s.url+"/healthz"),
		script(`localStorage.setItem("berth.renderer", "dom")`), // drawn as text, where the test can read it
		chromedp.Navigate(s.url+"/"), visible(`button[value="debian"]`))
	b.picture("home")
	b.do("start Debian", click(`button[value="debian"]`), visible(".xterm-rows"), shows("root@debian"))
	address := b.eval("location.href")
	b.do("cat /etc/os-release", types("cat /etc/os-release\r"), shows(`PRETTY_NAME="Debian GNU/Linux`), shows("BUG_REPORT_URL"))
	b.do("meters", until(`[...document.querySelectorAll(".meter")].every((m) => !m.innerText.includes("–"))`))
	b.picture("session")
	b.do("vi", types("vi /root/note\r"), hides("PRETTY_NAME"), shows("note"), types("ihello from vi\x1b"), shows("hello from vi"))
	b.picture("vi")
	b.do("leave vi", types(":wq\r"), shows("PRETTY_NAME"), types("cat /root/note\r"), shows("hello from vi"))
	b.do("top", types("top\r"), shows("PID USER"), shows("docker-init"))
	b.picture("top")
	b.do("reload with top running", chromedp.Navigate(address), visible(".xterm-rows"), shows("PID USER"), shows("docker-init"))
	b.do("leave top", types("q"), shows("root@debian"), types("cat /root/note /etc/os-release\r"), shows("hello from vi"), shows("PRETTY_NAME"))
	b.do("reload the shell", chromedp.Navigate(address), visible(".xterm-rows"), shows("PRETTY_NAME"), shows("hello from vi"))
	b.do("second terminal", click("#new-tab"), until(`document.querySelectorAll("#tabs [role=tab]").length === 2`), hides("PRETTY_NAME"),
		shows("root@debian"), types("tty; cat /root/note\r"), shows("/dev/pts/1"), shows("hello from vi"))
	b.picture("tabs")
	b.do("phone", look("dark", 360, 720), shows("root@debian"), until(`document.documentElement.scrollWidth <= innerWidth`))
	b.picture("phone")
	b.do("reload on the phone", chromedp.Navigate(address), visible(".xterm-rows"), shows("root@debian"))
	b.do("end", look("light", 1280, 640), click("#end"), click("dialog.ask button.solid"), until(`document.querySelector("h1")?.checkVisibility() && document.body.innerText.includes("Start Debian 12 again")`))
	b.picture("ended")
	if text := b.eval("document.body.innerText"); !strings.Contains(text, "You ended") && !strings.Contains(text, "you ended") {
		t.Errorf("the page does not say that the visitor ended the session: %s", text)
	}
	s.wantNothingLeft()
	close(b.faults)
	for f := range b.faults {
		t.Error("script: ", f)
	}
}
