package e2e_test

import (
	"testing"

	"github.com/chromedp/chromedp"
)

// TestManyTabs: what a page keeps open must not take the six HTTP/1.1 connections that a browser has for a server, or the third tab
// of a session does not even load.
func TestManyTabs(t *testing.T) {
	s, ctx := newSite(t), newBrowser(t)
	id := s.open(t, ctx)
	furnish(s.docker(id))
	address := s.url + "/s/" + string(id)
	for range 5 {
		tab, cancel := chromedp.NewContext(ctx)
		defer cancel()
		run(t, tab, "one more tab", focused(), look(false, 1280, 800), chromedp.Navigate(address), visible(".xterm-rows"), shows("root@debian"), panel("containers"),
			until(rowsOf+`.length > 0`), visible(".filetree"))
	}
	run(t, ctx, "the first lives on", panel("containers"), until(rowsOf+`.length > 0`), typed("echo all of them\r"), until(screenHas("all of them", 2)))
}
