package terminal

import (
	"bytes"
	"strings"
	"unicode"
)

// titleLimit bounds a window title, in bytes.
const titleLimit = 256

const (
	bel = 0x07
	esc = 0x1b
)

type titleState int

const (
	titleGround titleState = iota
	titleEscape            // after ESC
	titleNumber            // after ESC ]: the digits of the command
	titleText              // after ESC ] 0 ; or ESC ] 2 ;
	titleEnd               // after an ESC inside of the text
)

// titleScanner finds the title that a program gave its window: OSC 0 and OSC 2 of xterm's ctlseqs.
type titleScanner struct {
	title  string
	state  titleState
	number byte
	text   []byte
}

// feed looks at output, in whatever pieces it comes.
func (t *titleScanner) feed(p []byte) {
	for len(p) > 0 {
		if t.state == titleGround {
			i := bytes.IndexByte(p, esc)
			if i < 0 {
				return
			}
			t.state, p = titleEscape, p[i+1:]
			continue
		}
		t.step(p[0])
		p = p[1:]
	}
}

func (t *titleScanner) step(c byte) {
	switch {
	case t.state == titleEscape && c == ']':
		t.state, t.number, t.text = titleNumber, 0, t.text[:0]
	case t.state == titleNumber && t.number == 0 && (c == '0' || c == '2'):
		t.number = c
	case t.state == titleNumber && t.number != 0 && c == ';':
		t.state = titleText
	case t.state == titleText && c == bel, t.state == titleEnd && c == '\\':
		t.title, t.state = printable(t.text), titleGround
	case t.state == titleText && c == esc:
		t.state = titleEnd
	case t.state == titleText && len(t.text) < titleLimit:
		t.text = append(t.text, c)
	case c == esc:
		t.state = titleEscape
	default:
		t.state = titleGround
	}
}

// printable keeps of a title what is text: it is shown in pages and tables.
func printable(b []byte) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) && r != unicode.ReplacementChar {
			return r
		}
		return -1
	}, strings.ToValidUTF8(string(b), ""))
}
