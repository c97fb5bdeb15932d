package layers

import (
	"regexp"
	"strings"
)

// longHash shortens the checksums of the classic builder: "ADD file:0123… in /".
var longHash = regexp.MustCompile(`\b(file|dir|multi):([0-9a-f]{12})[0-9a-f]{52}\b`)

// shellCall is what SHELL puts in front of a RUN: "/bin/sh -c ", "/bin/bash -euo pipefail -c ".
var shellCall = regexp.MustCompile(`^(?:/usr)?/bin/[a-z]*sh(?: -?[a-z]+)*? -[a-z]*c `)

// Instruction makes of what an image's history says (created_by, comment) the line of a Dockerfile that it was. BuildKit
// writes "RUN /bin/sh -c make # buildkit" and "COPY . /app # buildkit", the classic builder "/bin/sh -c make" and
// "/bin/sh -c #(nop) COPY dir:… in /app"; both put build arguments in front as "|2 A=1 B=2". `docker commit` has the
// container's command, `docker import` only a comment.
func Instruction(createdBy, comment string) string {
	text := strings.TrimSpace(createdBy)
	if text == "" {
		return strings.TrimSpace(comment)
	}
	text = strings.TrimSpace(strings.TrimSuffix(text, "# buildkit"))
	run := false
	if rest, ok := strings.CutPrefix(text, "RUN "); ok {
		text, run = rest, true
	}
	if rest, ok := withoutArgs(text); ok {
		text, run = rest, true
	}
	if shell := shellCall.FindString(text); shell != "" {
		text, run = strings.TrimSpace(text[len(shell):]), true
	}
	if rest, ok := strings.CutPrefix(text, "#(nop)"); ok {
		return longHash.ReplaceAllString(strings.TrimSpace(rest), "$1:$2")
	}
	if run {
		return "RUN " + text
	}
	return text
}

// withoutArgs takes build arguments off: "|2 A=1 B=2 /bin/sh -c make".
func withoutArgs(text string) (string, bool) {
	if !strings.HasPrefix(text, "|") {
		return text, false
	}
	if at := strings.Index(text, " /bin/"); at > 0 {
		return text[at+1:], true
	}
	return text, false
}

// word is the first word of an instruction.
func word(instruction string) string {
	w, _, _ := strings.Cut(instruction, " ")
	return w
}
