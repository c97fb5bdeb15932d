package terminal_test

import (
	"encoding/json"
	"errors"
	"testing"

	"berth/terminal"
)

func TestDecodeClientRefuses(t *testing.T) {
	for name, message := range map[string]string{
		"empty": "", "unknown type": "\x09abc", "short input": "\x01\x00\x00", "short ack": "\x03\x00",
		"long ack": "\x03\x00\x00\x00\x00\x00\x00\x00\x00\x00", "no JSON": "\x02{", "unknown control": `` + "\x02" + `{"type":"format"}`,
		"wrong JSON": "\x02" + `{"type":"resize","cols":"wide"}`,
	} {
		if f, err := terminal.DecodeClient([]byte(message)); !errors.Is(err, terminal.ErrFrame) {
			t.Errorf("%s: got %+v, %v, want ErrFrame", name, f, err)
		}
	}
}

func TestStatusKeepsItsShape(t *testing.T) {
	for want, s := range map[string]terminal.Status{
		`{"cols":80,"from":1,"input":0,"next":2,"rows":24,"running":true,"type":"hello"}`: {
			Type: terminal.Hello, From: 1, Next: 2, Cols: 80, Rows: 24, Running: true,
		},
		`{"from":0,"to":9,"type":"gap"}`:                {Type: terminal.Gap, To: 9},
		`{"code":0,"signal":"","type":"exit"}`:          {Type: terminal.Exited},
		`{"type":"started"}`:                            {Type: terminal.Started},
		`{"cols":1,"rows":2,"type":"resize"}`:           {Type: terminal.Resized, Cols: 1, Rows: 2},
		`{"message":"no \u003cp\u003e","type":"error"}`: {Type: terminal.Failed, Message: "no <p>"},
	} {
		got, err := json.Marshal(s)
		if err != nil || string(got) != want {
			t.Errorf("got %s, %v, want %s", got, err, want)
		}
		var back terminal.Status
		if err := json.Unmarshal(got, &back); err != nil || back != s {
			t.Errorf("%s comes back as %+v, %v", got, back, err)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte("\x01\x00\x00\x00\x00\x00\x00\x00\x01ls\n"))
	f.Add([]byte("\x02" + `{"type":"resize","cols":80,"rows":24}`))
	f.Add([]byte("\x03\xff\xff\xff\xff\xff\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := terminal.DecodeClient(b)
		if err != nil && !errors.Is(err, terminal.ErrFrame) {
			t.Fatalf("client: %v does not wrap ErrFrame", err)
		}
		if err == nil && c.Control == nil && len(c.Data)+9 != len(b) {
			t.Fatalf("client: %d bytes of %d", len(c.Data), len(b))
		}
		s, err := terminal.DecodeServer(b)
		if err != nil && !errors.Is(err, terminal.ErrFrame) {
			t.Fatalf("server: %v does not wrap ErrFrame", err)
		}
		if err == nil && s.Status == nil && len(s.Data)+9 != len(b) {
			t.Fatalf("server: %d bytes of %d", len(s.Data), len(b))
		}
	})
}
