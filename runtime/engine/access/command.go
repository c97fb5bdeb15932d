package access

import (
	"regexp"
	"strconv"
	"strings"
	"unicode"
)

// plain is what a shell takes as it is.
var plain = regexp.MustCompile(`^[a-zA-Z0-9_./:@%+,=-]+$`)

// asRoot is a command that changes a path of the container as its root, to be typed into the workspace's shell. Names in it
// may be anything that a hostile container has thought of: none is left bare, and none with control characters is typed.
func (c Container) asRoot(program, operand, path string) string {
	if strings.ContainsFunc(path+c.Name+c.Image, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return ""
	}
	if strings.HasPrefix(c.Name, "-") || strings.HasPrefix(c.Image, "-") || c.Name == "" {
		return ""
	}
	words := []string{"docker exec -u 0", quote(c.Name), program, operand, quote(path)}
	if !c.Running {
		if c.Image == "" {
			return ""
		}
		words = []string{"docker run --rm -u 0 --volumes-from", quote(c.Name), "--entrypoint", program, quote(c.Image), operand, quote(path)}
	}
	return strings.Join(words, " ")
}

func quote(s string) string {
	if plain.MatchString(s) {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// show is a path for people.
func show(path string) string {
	if plain.MatchString(path) {
		return path
	}
	return strconv.Quote(path)
}
