package e2e_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"berth/quotas"
	"berth/sessions"
)

var sizes = []struct {
	name          string
	width, height int64
	dark          bool
}{
	{"wide-light", 1280, 800, false},
	{"wide-dark", 1280, 800, true},
	{"phone-light", 360, 720, false},
	{"phone-dark", 360, 720, true},
}

const sample = "\x1b[2J\x1b[H\x1b[1;32mroot@debian\x1b[0m:\x1b[1;34m~\x1b[0m# cat /etc/os-release\r\n" +
	"PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\r\nNAME=\"Debian GNU/Linux\"\r\nVERSION_ID=\"12\"\r\nHOME_URL=\"https://www.debian.org/\"\r\n" +
	"\x1b[1;32mroot@debian\x1b[0m:\x1b[1;34m~\x1b[0m# ls --color /\r\n" +
	"\x1b[36mbin\x1b[0m  \x1b[1;34mboot  dev  etc  home\x1b[0m  \x1b[36mlib\x1b[0m  \x1b[1;34mmedia  mnt  opt  proc  root  run\x1b[0m  \x1b[36msbin\x1b[0m  \x1b[1;34msrv  sys\x1b[0m  \x1b[30;42mtmp\x1b[0m  \x1b[1;34musr  var\x1b[0m\r\n" +
	"\x1b[1;32mroot@debian\x1b[0m:\x1b[1;34m~\x1b[0m# make\r\n\x1b[31merror:\x1b[0m no makefile found\r\n\x1b[33mwarning:\x1b[0m nothing was done\r\n" +
	"\x1b[1;32mroot@debian\x1b[0m:\x1b[1;34m~\x1b[0m# "

// Every page in every look: nothing wider than the window, nothing refused by the policy, no error in a script.
func TestPagesFit(t *testing.T) {
	s, ctx := newSite(t), newBrowser(t)
	faults := watch(t, ctx)
	for _, size := range sizes {
		t.Run(size.name, func(t *testing.T) {
			run(t, ctx, "set the look", look(size.dark, size.width, size.height))
			s.SetNewState(sessions.Ready)
			s.SetStatus(sessions.Status{Capacity: 40, Sessions: 28})
			run(t, ctx, "first page", chromedp.Navigate(s.url+"/"), fits())
			picture(t, ctx, "home-"+size.name)
			id := s.open(t, ctx)
			s.Sandbox(id).Terminal("1").Print(sample)
			run(t, ctx, "output", shows("nothing was done"))
			s.use(t, ctx, id)
			run(t, ctx, "session page", fits())
			picture(t, ctx, "session-"+size.name)
			run(t, ctx, "meters", do(`document.querySelector(".meter").click()`), visible("#panel canvas"), fits())
			s.Publish(id, sessions.Event{Type: sessions.EventNotice, Notice: &sessions.Notice{Kind: "memory", Message: "Memory: 512 of 512 MB. The program stress was ended; the shell goes on."}})
			run(t, ctx, "notice", visible(".notice"), fits())
			picture(t, ctx, "panel-"+size.name)
			run(t, ctx, "palette", do(`document.getElementById("more").click()`), visible("dialog.palette"), fits())
			picture(t, ctx, "palette-"+size.name)
			s.Finish(id, sessions.Expired, "The session reached its end after 45 minutes. Its disk has been deleted.")
			run(t, ctx, "ended", until(`document.querySelector("h1").textContent === "Time is up"`), fits())
			picture(t, ctx, "ended-"+size.name)
			s.SetNewState(sessions.Queued)
			run(t, ctx, "queue", chromedp.Navigate(s.url+"/"), click(`button[value="debian"]`), visible("#place"), fits())
			picture(t, ctx, "queued-"+size.name)
			run(t, ctx, "lost page", chromedp.Navigate(s.url+"/s/aaaaaaaaaaaa"), fits())
			picture(t, ctx, "lost-"+size.name)
		})
	}
	for _, f := range faults() {
		t.Error(f)
	}
}

// use sends the page two minutes of figures.
func (s *site) use(t *testing.T, ctx context.Context, id sessions.ID) {
	t.Helper()
	at, cpu, sent := time.Now().Add(-time.Minute), time.Duration(0), int64(0)
	for i := range 60 {
		cpu += time.Duration(100+(i*37)%700) * time.Millisecond
		sent += int64(40_000 + (i*7919)%900_000)
		s.Publish(id, sessions.Event{Type: sessions.EventUsage, Usage: &quotas.Usage{
			At: at.Add(time.Duration(i) * time.Second), CPU: cpu,
			MemoryBytes: int64(60+i*3) << 20, PIDs: int64(8 + i%5), DiskBytes: int64(180+i) << 20, ReceivedBytes: sent, SentBytes: sent / 9,
		}})
		run(t, ctx, "figures", until(fmt.Sprintf(`document.querySelectorAll(".meter")[1].title.startsWith("%d MB")`, 60+i*3)))
	}
}

func fits() step {
	return until(`document.documentElement.scrollWidth <= innerWidth`)
}
