package terminal_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/gorilla/websocket"

	"berth/terminal"
	"berth/terminal/terminaltest"
)

func TestGarbageIsRefusedWithAReason(t *testing.T) {
	_, url := serve(t, terminaltest.Command("cat"), terminal.Options{MaxTerminals: 20})
	for name, c := range map[string]struct {
		typ     int
		message string
		code    int
		reason  string
	}{
		"text":        {websocket.TextMessage, "hello", websocket.CloseUnsupportedData, "binary"},
		"empty":       {websocket.BinaryMessage, "", websocket.CloseProtocolError, "empty"},
		"unknown":     {websocket.BinaryMessage, "\x7fabc", websocket.CloseProtocolError, "unknown message type"},
		"short":       {websocket.BinaryMessage, "\x01abc", websocket.CloseProtocolError, "3 bytes"},
		"huge":        {websocket.BinaryMessage, strings.Repeat("\x01", 8<<20), websocket.CloseMessageTooBig, "at most"},
		"bad control": {websocket.BinaryMessage, "\x02{}", websocket.CloseProtocolError, "unknown control"},
		"early ack":   {websocket.BinaryMessage, string(data(3, 1<<60, "")), websocket.CloseProtocolError, "acknowledged"},
		"overflow":    {websocket.BinaryMessage, string(data(1, 1<<64-1, "abc")), websocket.CloseProtocolError, "out of range"},
	} {
		t.Run(name, func(t *testing.T) {
			w := connect(t, url+"1")
			_ = w.WriteMessage(c.typ, []byte(c.message)) // a huge one may be refused before it is written
			for {
				_, err := w.receive()
				if err == nil {
					continue
				}
				if !websocket.IsCloseError(err, c.code) || !strings.Contains(err.Error(), c.reason) {
					t.Fatalf("closed with %v, want code %d and %q", err, c.code, c.reason)
				}
				return
			}
		})
	}
	t.Run("a hole in the input", func(t *testing.T) {
		w := connect(t, url+"1?client=hole")
		w.write(data(1, 0, "abc"))
		w.write(data(1, 9, "def"))
		for {
			if _, err := w.receive(); err != nil {
				if !websocket.IsCloseError(err, websocket.CloseProtocolError) {
					t.Fatal(err)
				}
				return
			}
		}
	})
	t.Run("raw bytes after the upgrade", func(t *testing.T) {
		w := connect(t, url+"1")
		_, _ = w.NetConn().Write([]byte("GET / HTTP/1.1\r\n\r\n\xff\xff\xff\xff"))
		for {
			if _, err := w.receive(); err != nil {
				return
			}
		}
	})
	dial(t, url+"1", terminal.ClientOptions{}).await(terminal.Hello) // it lives
}

func TestBadRequestsAreRefusedBeforeTheUpgrade(t *testing.T) {
	set, url := serve(t, terminaltest.Command("cat"), terminal.Options{})
	for query, want := range map[string]int{
		"1?cols=0&rows=24": 400, "1?cols=80&rows=1001": 400, "1?cols=1000000&rows=24": 400, "1?cols=80": 400, "1?cols=a&rows=b": 400,
		"1?cols=-1&rows=1": 400, "1?after=x": 400, "1?after=-1": 400, "no%20name": 400, strings.Repeat("n", 33): 400,
		"1?client=" + strings.Repeat("c", 65): 400,
	} {
		dialer := websocket.Dialer{Subprotocols: []string{terminal.Subprotocol}}
		conn, answer, err := dialer.Dial("ws"+strings.TrimPrefix(url, "http")+query, nil)
		if err == nil {
			_ = conn.Close()
			t.Errorf("%s was accepted", query)
			continue
		}
		if answer == nil || answer.StatusCode != want || answer.Header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s: got %+v, %v, want %d", query, answer, err, want)
		}
	}
	if status := do(t, http.MethodGet, url+"1"); status != http.StatusUpgradeRequired {
		t.Errorf("plain GET: %d", status)
	}
	if n := len(set.List()); n != 0 {
		t.Errorf("%d terminals were made", n)
	}
}

func TestBadResizeIsToldAndIgnored(t *testing.T) {
	set, url := serve(t, terminaltest.Command("cat"), terminal.Options{})
	w := connect(t, url+"1?cols=50&rows=10")
	w.write([]byte("\x02" + `{"type":"resize","cols":0,"rows":1000000}`))
	for {
		f, err := w.receive()
		if err != nil {
			t.Fatal(err)
		}
		if f.Status != nil && f.Status.Type == terminal.Failed {
			break
		}
	}
	if info := set.List()[0]; info.Cols != 50 || info.Rows != 10 {
		t.Fatalf("got %+v", info)
	}
}
