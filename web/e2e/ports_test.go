package e2e_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
)

// hostilePage tries to get at our cookies and to leave some for us.
const hostilePage = `<!DOCTYPE html><title>theirs</title><body><script>
document.cookie = "own=1";
document.cookie = "berth=evil; domain=localhost";
document.cookie = "berth=evil; path=/";
fetch("http://localhost" + location.port.replace(/^/, ":") + "/api/v1/sessions", {credentials: "include"})
  .then((r) => r.text(), () => "nothing").then((t) => document.body.append("cookies " + document.cookie + ", read " + t));
</script>`

func TestPortsComeAndGo(t *testing.T) {
	s, ctx := newSite(t), newBrowser(t)
	faults := watch(t, ctx)
	id := s.open(t, ctx)
	const chips = `[...document.querySelectorAll("#ports a")].map((a) => a.textContent).join()`
	run(t, ctx, "none", until(`document.getElementById("ports").hidden`))
	s.Sandbox(id).Listen(8080, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Add("Set-Cookie", "berth=evil; Domain=localhost")
		w.Header().Set("Content-Type", "text/html")
		if strings.Contains(r.Header.Get("Cookie"), "berth=") {
			t.Errorf("the program was sent %s", r.Header.Get("Cookie"))
		}
		_, _ = io.WriteString(w, hostilePage)
	}))
	run(t, ctx, "one comes", until(chips+` === "8080 ↗"`), visible("#ports a"))
	s.Sandbox(id).Listen(80, http.NotFoundHandler())
	run(t, ctx, "another, in order", until(chips+` === "80 ↗,8080 ↗"`))
	s.Sandbox(id).Listen(80, nil)
	run(t, ctx, "it goes", until(chips+` === "8080 ↗"`))
	for port := range 11 {
		s.Sandbox(id).Listen(uint16(3000+port), http.NotFoundHandler())
	}
	for name, phone := range map[string]step{"phone": look(false, 360, 640), "wide": look(false, 1280, 800)} {
		run(t, ctx, "many, "+name, phone, until(`document.querySelector("#ports .more").textContent === "and 4 more"`), fits())
		picture(t, ctx, "ports-"+name)
	}
	for port := range 11 {
		s.Sandbox(id).Listen(uint16(3000+port), nil)
	}
	run(t, ctx, "they go", until(chips+` === "8080 ↗"`))
	for _, f := range faults() {
		t.Error(f)
	}
	href, err := chromedp.Run(ctx, chromedp.Evaluate[string](`document.querySelector("#ports a").href`))
	if err != nil {
		t.Fatal(err)
	}
	if want := fmt.Sprintf("http://8080-%s.localhost:", id); !strings.HasPrefix(href, want) {
		t.Errorf("the link is to %s, want %s…", href, want)
	}
	run(t, ctx, "the program's page", chromedp.Navigate(href), until(`document.body.innerText.includes("cookies")`))
	text, err := chromedp.Run(ctx, chromedp.Evaluate[string](`document.body.innerText`))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(text, "own=1") || !strings.Contains(text, "read nothing") {
		t.Errorf("the program's page has %q", text)
	}
	other := strings.Replace(href, "8080-", "9090-", 1)
	run(t, ctx, "nothing yet", chromedp.Navigate(other), until(`document.body.innerText.includes("Nothing listens on port 9090.")`))
	s.Sandbox(id).Listen(9090, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "here now") }))
	run(t, ctx, "by itself", until(`document.body.innerText === "here now"`))
	run(t, ctx, "the session is still ours", chromedp.Navigate(s.url+"/s/"+string(id)), visible("#ports a"))
}
