package webtest

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/gorilla/websocket"
)

// Terminal speaks berth.terminal.v1 for a shell that knows: echo, exit N, title, seq N, print (its argument with escapes).
type Terminal struct {
	mu      sync.Mutex
	changed *sync.Cond
	out     []byte
	applied map[string]uint64 // by client
	left    map[string]uint64 // how often a client has gone
	input   []byte            // everything applied, in order
	acked   uint64
	line    string
	events  []string // JSON for every viewer
	cols    int
	rows    int
	running bool
	code    int
	ended   bool
}

func newTerminal() *Terminal {
	t := &Terminal{applied: map[string]uint64{}, left: map[string]uint64{}, running: true, cols: 80, rows: 24}
	t.changed = sync.NewCond(&t.mu)
	t.out = []byte(prompt)
	return t
}

const prompt = "\x1b[1;32mroot@debian\x1b[0m:\x1b[1;34m~\x1b[0m# "

// Print adds output, as a program in the background would.
func (t *Terminal) Print(s string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.out = append(t.out, s...)
	t.changed.Broadcast()
}

// Input is everything that was typed, once.
func (t *Terminal) Input() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.input)
}

// Size is the last size that a viewer asked for.
func (t *Terminal) Size() (cols, rows int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.cols, t.rows
}

// Acked is the highest sequence number that a viewer has parsed.
func (t *Terminal) Acked() (acked, printed uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.acked, uint64(len(t.out))
}

func (t *Terminal) describe(name string) map[string]any {
	t.mu.Lock()
	defer t.mu.Unlock()
	return map[string]any{"name": name, "title": "", "running": t.running, "exit_code": t.code, "cols": t.cols, "rows": t.rows, "viewers": 0}
}

func (t *Terminal) end() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.ended = true
	t.changed.Broadcast()
}

func (t *Terminal) serve(w http.ResponseWriter, r *http.Request) {
	up := websocket.Upgrader{Subprotocols: []string{"berth.terminal.v1"}}
	conn, err := up.Upgrade(w, r, nil)
	if err != nil {
		return
	}
	defer func() { _ = conn.Close() }()
	client := r.URL.Query().Get("client")
	t.mu.Lock()
	sent := uint64(0)
	if after := r.URL.Query().Get("after"); after != "" {
		sent, _ = strconv.ParseUint(after, 10, 64)
	}
	hello, _ := json.Marshal(map[string]any{
		"type": "hello", "from": sent, "next": len(t.out), "input": t.applied[client],
		"cols": t.cols, "rows": t.rows, "running": t.running,
	})
	said := len(t.events)
	t.mu.Unlock()
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		t.read(conn, client)
	}()
	t.write(conn, client, hello, sent, said)
	_ = conn.Close()
	<-gone
}

func (t *Terminal) read(conn *websocket.Conn, client string) {
	for {
		_, m, err := conn.ReadMessage()
		t.mu.Lock()
		if err != nil {
			t.left[client]++
			t.changed.Broadcast()
			t.mu.Unlock()
			return
		}
		t.message(client, m)
		t.changed.Broadcast()
		t.mu.Unlock()
	}
}

func (t *Terminal) message(client string, m []byte) {
	switch m[0] {
	case 1:
		at, data := binary.BigEndian.Uint64(m[1:]), m[9:]
		if have := t.applied[client]; at < have {
			data = data[min(uint64(len(data)), have-at):]
		}
		t.applied[client] += uint64(len(data))
		t.input = append(t.input, data...)
		for _, b := range data {
			t.key(b)
		}
	case 2:
		var c struct {
			Type       string
			Cols, Rows int
		}
		_ = json.Unmarshal(m[1:], &c)
		switch c.Type {
		case "resize":
			t.cols, t.rows = c.Cols, c.Rows
		case "restart":
			t.running = true
			t.out = append(t.out, prompt...)
			t.events = append(t.events, `{"type":"started"}`)
		}
	case 3:
		t.acked = max(t.acked, binary.BigEndian.Uint64(m[1:]))
	}
}

func (t *Terminal) key(b byte) {
	switch {
	case !t.running:
	case b == '\r':
		t.out = append(t.out, "\r\n"...)
		line := t.line
		t.line = ""
		t.run(line)
	case b == 0x7f && t.line != "":
		t.line = t.line[:len(t.line)-1]
		t.out = append(t.out, "\b \b"...)
	case b >= ' ':
		t.line += string(rune(b))
		t.out = append(t.out, b)
	default:
		t.out = append(t.out, '^', b+'@')
	}
}

func (t *Terminal) run(line string) {
	name, rest, _ := strings.Cut(line, " ")
	switch name {
	case "echo":
		t.out = append(t.out, rest+"\r\n"...)
	case "title":
		t.out = append(t.out, "\x1b]0;"+rest+"\x07"...)
	case "seq":
		n, _ := strconv.Atoi(rest)
		for i := 1; i <= n; i++ {
			t.out = fmt.Appendf(t.out, "%d\r\n", i)
		}
	case "exit":
		t.code, _ = strconv.Atoi(rest)
		t.running = false
		t.events = append(t.events, fmt.Sprintf(`{"type":"exit","code":%d,"signal":""}`, t.code))
		return
	}
	t.out = append(t.out, prompt...)
}

func (t *Terminal) write(conn *websocket.Conn, client string, hello []byte, sent uint64, said int) {
	if conn.WriteMessage(websocket.BinaryMessage, append([]byte{2}, hello...)) != nil {
		return
	}
	told := uint64(0)
	t.mu.Lock()
	defer t.mu.Unlock()
	gone := t.left[client]
	for {
		var frames [][]byte
		if sent < uint64(len(t.out)) {
			end := min(uint64(len(t.out)), sent+16<<10)
			frames = append(frames, append(binary.BigEndian.AppendUint64([]byte{1}, sent), t.out[sent:end]...))
			sent = end
		}
		if told != t.applied[client] {
			told = t.applied[client]
			frames = append(frames, binary.BigEndian.AppendUint64([]byte{3}, told))
		}
		for ; said < len(t.events) && sent == uint64(len(t.out)); said++ {
			frames = append(frames, append([]byte{2}, t.events[said]...))
		}
		if t.ended {
			_ = conn.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(4004, "deleted"), time.Now().Add(time.Second))
			return
		}
		if t.left[client] != gone {
			return
		}
		if frames == nil {
			t.changed.Wait()
			continue
		}
		t.mu.Unlock()
		var err error
		for _, f := range frames {
			if err == nil {
				err = conn.WriteMessage(websocket.BinaryMessage, f)
			}
		}
		t.mu.Lock()
		if err != nil {
			return
		}
	}
}
