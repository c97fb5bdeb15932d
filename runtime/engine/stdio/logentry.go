package stdio

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"
)

// maxLine is the longest piece of a line that is one entry, in bytes: Docker's. Pieces but the last have no newline.
const maxLine = 16 << 10

// LogLine is one entry of a log: a line of output, or a piece of one.
type LogLine struct {
	Stream Stream
	Time   time.Time
	Line   []byte            // with its newline; what is not UTF-8 was replaced when it was written
	Attrs  map[string]string // labels and environment that the log's options name
}

// timeFixed is RFC 3339 with as many digits for every time, as `docker logs --timestamps` prints.
const timeFixed = "2006-01-02T15:04:05.000000000Z07:00"

// Text is the entry as `docker logs` prints it.
func (l LogLine) Text(timestamps, details bool) []byte {
	if !timestamps && !details {
		return l.Line
	}
	var b []byte
	if timestamps {
		b = append(l.Time.UTC().AppendFormat(b, timeFixed), ' ')
	}
	if details {
		for i, key := range slices.Sorted(maps.Keys(l.Attrs)) {
			if i > 0 {
				b = append(b, ',')
			}
			b = fmt.Appendf(b, "%s=%s", url.QueryEscape(key), url.QueryEscape(l.Attrs[key]))
		}
		b = append(b, ' ')
	}
	return append(b, l.Line...)
}

// entry is Docker's json-file format: {"log":"…\n","stream":"stdout","attrs":{…},"time":"…"}.
type entry struct {
	Log    string            `json:"log"`
	Stream string            `json:"stream"`
	Attrs  map[string]string `json:"attrs"`
	Time   time.Time         `json:"time"`
}

// appendEntry encodes an entry. attrs is JSON already.
func appendEntry(b []byte, s Stream, line []byte, attrs json.RawMessage, now time.Time) []byte {
	b = append(b, `{"log":"`...)
	b = appendEscaped(b, line)
	b = append(b, `","stream":"`...)
	b = append(b, s.String()...)
	if len(attrs) > 0 {
		b = append(b, `","attrs":`...)
		b = append(b, attrs...)
		b = append(b, `,"time":"`...)
	} else {
		b = append(b, `","time":"`...)
	}
	b = now.UTC().AppendFormat(b, time.RFC3339Nano)
	return append(b, "\"}\n"...)
}

// appendEscaped writes p as the inside of a JSON string, as Docker does: also <, > and & are escaped.
func appendEscaped(b, p []byte) []byte {
	from := 0
	for i := 0; i < len(p); {
		c := p[i]
		if c < utf8.RuneSelf {
			if c >= ' ' && c != '"' && c != '\\' && c != '<' && c != '>' && c != '&' {
				i++
				continue
			}
			b = appendControl(append(b, p[from:i]...), c)
			i++
			from = i
			continue
		}
		r, n := utf8.DecodeRune(p[i:])
		switch {
		case r == utf8.RuneError && n == 1:
			b = append(append(b, p[from:i]...), `\ufffd`...)
			from = i + n
		case r == '\u2028' || r == '\u2029': // ends of lines to JavaScript
			b = append(append(b, p[from:i]...), `\u202`...)
			b = append(b, "89"[r-'\u2028'])
			from = i + n
		}
		i += n
	}
	return append(b, p[from:]...)
}

func appendControl(b []byte, c byte) []byte {
	switch c {
	case '"', '\\':
		return append(b, '\\', c)
	case '\n':
		return append(b, `\n`...)
	case '\r':
		return append(b, `\r`...)
	}
	const hex = "0123456789abcdef"
	return append(b, '\\', 'u', '0', '0', hex[c>>4], hex[c&0xf])
}

// parseEntry reads one line of a log file. What is not an entry, such as half a line of an engine that was killed, is left
// out.
func parseEntry(b []byte) (LogLine, bool) {
	if l, ok := parseOwn(b); ok {
		return l, true
	}
	var e entry
	if err := json.Unmarshal(bytes.TrimSpace(b), &e); err != nil {
		return LogLine{}, false
	}
	l := LogLine{Time: e.Time, Line: []byte(e.Log), Attrs: e.Attrs}
	switch e.Stream {
	case "stdout":
		l.Stream = Stdout
	case "stderr":
		l.Stream = Stderr
	default:
		return LogLine{}, false
	}
	return l, true
}

// rotated is the name of the file that has been rotated n times.
func rotated(base string, n int64) string {
	if n == 0 {
		return base
	}
	return base + "." + strconv.FormatInt(n, 10)
}
