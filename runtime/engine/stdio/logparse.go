package stdio

import (
	"bytes"
	"time"
	"unicode/utf8"
)

// parseOwn reads an entry that has exactly the form in which they are written, without attributes: many times faster than
// encoding/json, and most are so. All else is left to that.
func parseOwn(b []byte) (l LogLine, ok bool) {
	b = bytes.TrimSuffix(b, []byte("\n"))
	b, ok = bytes.CutPrefix(b, []byte(`{"log":"`))
	if !ok {
		return l, false
	}
	if l.Line, b, ok = unescape(b); !ok {
		return l, false
	}
	if b, ok = bytes.CutPrefix(b, []byte(`,"stream":"std`)); !ok || len(b) < len(`out"`) {
		return l, false
	}
	switch string(b[:4]) {
	case `out"`:
		l.Stream = Stdout
	case `err"`:
		l.Stream = Stderr
	default:
		return l, false
	}
	if b, ok = bytes.CutPrefix(b[4:], []byte(`,"time":"`)); !ok {
		return l, false
	}
	if b, ok = bytes.CutSuffix(b, []byte(`"}`)); !ok {
		return l, false
	}
	var err error
	l.Time, err = time.Parse(time.RFC3339Nano, string(b))
	return l, err == nil
}

// unescape reads the inside of a JSON string and its closing quote; ok: it has only the escapes that appendEscaped makes.
func unescape(b []byte) (s, rest []byte, ok bool) {
	end := bytes.IndexByte(b, '"')
	if end < 0 {
		return nil, nil, false
	}
	s = make([]byte, 0, end+64)
	for i := 0; i < len(b); {
		c := b[i]
		switch {
		case c == '"':
			return s, b[i+1:], true
		case c == '\\':
			n := 0
			if s, n = unescapeOne(s, b[i:]); n == 0 {
				return nil, nil, false
			}
			i += n
			continue
		case c < ' ':
			return nil, nil, false
		case c < utf8.RuneSelf:
			s = append(s, c)
			i++
			continue
		}
		r, n := utf8.DecodeRune(b[i:])
		if r == utf8.RuneError {
			return nil, nil, false // encoding/json decides what becomes of it
		}
		s = append(s, b[i:i+n]...)
		i += n
	}
	return nil, nil, false
}

// unescapeOne appends what the escape at the beginning of b means, and returns how long it is; 0: none that we make.
func unescapeOne(s, b []byte) ([]byte, int) {
	if len(b) < 2 {
		return s, 0
	}
	switch b[1] {
	case '"', '\\':
		return append(s, b[1]), 2
	case 'n':
		return append(s, '\n'), 2
	case 'r':
		return append(s, '\r'), 2
	case 'u':
	default:
		return s, 0
	}
	if len(b) < 6 {
		return s, 0
	}
	var r rune
	for _, c := range b[2:6] {
		i := bytes.IndexByte([]byte("0123456789abcdef"), c)
		if i < 0 {
			return s, 0
		}
		r = r<<4 | rune(i)
	}
	if r >= 0xd800 && r < 0xe000 { // half of a pair
		return s, 0
	}
	return utf8.AppendRune(s, r), 6
}
