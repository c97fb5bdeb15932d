// Package e2e_test opens the pages in a real Chromium, on sandboxes in memory that speak the real protocol.
package e2e_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"berth/sessions"
	"berth/web"
	"berth/web/webtest"
)

const patience = 20 * time.Second // for what a page does; the machine may be busy

// site is a server with its manager, on a port of its own.
type site struct {
	*webtest.Manager
	url string
}

func newSite(t *testing.T) *site {
	t.Helper()
	m := webtest.NewManager()
	s, err := web.New(web.Config{Addr: "127.0.0.1:0", DataDir: t.TempDir(), Manager: m, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Listen(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("serve: %v", err)
		}
		m.Close()
	})
	return &site{Manager: m, url: s.URL()}
}

// newBrowser starts a Chromium with a profile of its own, or skips where there is none.
func newBrowser(t *testing.T) context.Context {
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
	dir, err := os.MkdirTemp("", "berth-chromium-") //nolint:usetesting // what Chromium still writes when it ends fails no test
	if err != nil {
		t.Fatal(err)
	}
	opts := append([]chromedp.ExecAllocatorOption{}, chromedp.NoFirstRun, chromedp.NoDefaultBrowserCheck, chromedp.Headless,
		chromedp.ExecPath(path), chromedp.UserDataDir(dir), chromedp.DisableGPU, chromedp.WSURLReadTimeout(time.Minute),
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-background-networking", true),
		chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-sync", true), chromedp.Flag("hide-scrollbars", true))
	if os.Geteuid() == 0 {
		opts = append(opts, chromedp.NoSandbox)
	}
	alloc, stop := chromedp.NewExecAllocator(context.Background(), opts...)
	ctx, cancel := chromedp.NewContext(alloc)
	t.Cleanup(func() {
		_ = chromedp.Cancel(ctx) // waits for the browser
		cancel()
		stop()
		_ = os.RemoveAll(dir)
	})
	if err := chromedp.Do(ctx, focused(), chromedp.Navigate("about:blank")); err != nil {
		t.Fatalf("start %s: %v", path, err)
	}
	return ctx
}

// focused has the page take itself for the one that is looked at: some versions of Chromium without a window do not, and send no focus
// events.
func focused() step {
	return chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, emulation.SetFocusEmulationEnabled, emulation.SetFocusEmulationEnabledParams{Enabled: true})
		return err
	})
}

// step is one thing done in the browser.
type step = chromedp.Action[chromedp.Void]

// run fails the test where the page does not do what it should within patience.
func run(t *testing.T, ctx context.Context, what string, actions ...step) {
	t.Helper()
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if err := chromedp.Do(ctx, actions...); err != nil {
		t.Fatalf("%s: %v%s", what, err, pageText(ctx))
	}
}

func pageText(ctx context.Context) string {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	text, err := chromedp.Run(ctx, chromedp.Evaluate[string](`location.href + "\n" + document.body.innerText`))
	if err != nil {
		return ""
	}
	return "\nthe page shows: " + text
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

// do runs a script for its effect.
func do(script string) step { return chromedp.Evaluate[chromedp.Void](script) }

func visible(selector string) step {
	return until(fmt.Sprintf(`document.querySelector(%q)?.checkVisibility()`, selector))
}

func click(selector string) step {
	return chromedp.Steps(visible(selector), chromedp.Click(chromedp.CSS(selector)))
}

// simple has the shell drawn as text in the page, where tests can read it.
func simple(url string) step {
	return chromedp.Steps(chromedp.Navigate(url+"/healthz"), do(`localStorage.setItem("berth.renderer", "dom")`))
}

const screenText = `[...document.querySelectorAll(".pane:not([hidden]) .xterm-rows > div")].map((r) => r.textContent).join("\n")`

func shows(text string) step {
	return until(fmt.Sprintf(`(%s).replaceAll("\u00a0", " ").includes(%q)`, screenText, text))
}

func typed(text string) step {
	return chromedp.Steps(do(`document.querySelector(".pane:not([hidden]) textarea").focus()`), keys(text))
}

// keys presses keys as a keyboard does. chromedp.KeyEvent sends the character whether or not the page has taken the key,
// so that xterm.js, which takes it, would have it twice.
func keys(text string) step {
	return chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		for _, r := range text {
			for _, e := range kb.Encode(r) {
				switch e.Type {
				case kb.KeyDown:
					if all := kb.Encode(r); len(all) == 3 {
						e.Text, e.UnmodifiedText = all[1].Text, all[1].UnmodifiedText
					}
				case kb.KeyChar:
					continue
				default: // released: sent as it is
				}
				if _, err := cdp.Call(ctx, t, input.DispatchKeyEvent, *e); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// open starts a session from the first page, as a visitor does, and waits for the prompt.
func (s *site) open(t *testing.T, ctx context.Context) sessions.ID {
	t.Helper()
	run(t, ctx, "open a session", simple(s.url), chromedp.Navigate(s.url+"/"),
		click(`button[value="debian"]`), visible(".xterm-rows"), shows("root@debian"))
	return s.here(t, ctx)
}

func (s *site) here(t *testing.T, ctx context.Context) sessions.ID {
	t.Helper()
	path, err := chromedp.Run(ctx, chromedp.Evaluate[string](`location.pathname`))
	if err != nil {
		t.Fatal(err)
	}
	id := sessions.ID(strings.TrimPrefix(path, "/s/"))
	if !id.Valid() {
		t.Fatalf("the page is at %s, not at a session", path)
	}
	return id
}

// picture writes a screenshot into the folder that BERTH_SCREENSHOTS names, and none where it names none.
func picture(t *testing.T, ctx context.Context, name string) {
	t.Helper()
	dir := os.Getenv("BERTH_SCREENSHOTS")
	if dir == "" {
		return
	}
	png, err := chromedp.Run(ctx, chromedp.CaptureScreenshot())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, name+".png"), png, 0o644); err != nil {
		t.Fatal(err)
	}
}

func look(dark bool, width, height int64) step {
	scheme := "light"
	if dark {
		scheme = "dark"
	}
	media := chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
		})
		return err
	})
	return chromedp.Steps(media, chromedp.EmulateViewport(width, height))
}
