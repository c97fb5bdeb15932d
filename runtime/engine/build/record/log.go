package record

import (
	"fmt"
	"slices"
	"unicode/utf8"

	"github.com/moby/buildkit/client"
)

// merged joins what one stream of one step wrote in one go.
func merged(logs []*client.VertexLog) []*client.VertexLog {
	var out []*client.VertexLog
	for _, l := range logs {
		if n := len(out); n > 0 && out[n-1].Vertex == l.Vertex && out[n-1].Stream == l.Stream {
			last := *out[n-1]
			last.Data = append(slices.Clone(last.Data), l.Data...)
			out[n-1] = &last
			continue
		}
		out = append(out, l)
	}
	return out
}

// log keeps output, up to the limit, and says where it stops.
func (b *Build) log(l *client.VertexLog) {
	t := b.step(string(l.Vertex))
	stream := l.Stream
	if stream != 1 {
		stream = 2 // BuildKit's own words come as 0
	}
	data := l.Data
	if held := t.partials[stream]; len(held) > 0 {
		data = append(slices.Clone(held), data...)
	}
	data, t.partials[stream] = whole(data)
	if len(data) == 0 || b.cut {
		return
	}
	if b.logged+len(data) > MaxLog {
		b.cut = true
		data = fmt.Appendf(slices.Clone(data[:MaxLog-b.logged]), "\n[the log is cut here: a build keeps %d MiB of it]\n", MaxLog>>20)
	}
	b.logged += len(data)
	b.journal.append(KindLog, Log{Step: t.ID, Time: l.Timestamp.UTC(), Stream: stream, Text: string(data)}, true)
}

// whole cuts off a character that has only begun.
func whole(data []byte) (head, tail []byte) {
	for n := 1; n < utf8.UTFMax && n <= len(data); n++ {
		at := len(data) - n
		if !utf8.RuneStart(data[at]) {
			continue
		}
		if !utf8.FullRune(data[at:]) {
			return data[:at], slices.Clone(data[at:])
		}
		break
	}
	return data, nil
}
