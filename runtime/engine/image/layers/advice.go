package layers

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Limits of what is said.
const (
	worthTelling = 64 << 10 // bytes: less is no advice
	maxAdvice    = 12
	maxQuoted    = 72 // characters of an instruction
	maxNamed     = 3  // files and directories in one sentence
)

// Advice is what to change in a Dockerfile, and at which instruction.
type Advice struct {
	Layer int    `json:"layer"`
	Text  string `json:"text"`
	Bytes int64  `json:"bytes"` // about what it saves
}

// adviser collects advice over a stack. says are the instructions of its layers.
type adviser struct {
	*Stack
	says []string
	list []Advice
	told map[int32]bool // directories that a sentence was about already
}

// Advise says what to change, what saves most first. says are the instructions of the layers, lowest first.
func (s *Stack) Advise(says []string) []Advice {
	a := &adviser{Stack: s, says: says, list: []Advice{}, told: map[int32]bool{}}
	a.leftCaches()
	a.leftTools()
	a.copiedTooMuch()
	a.laterLayers()
	slices.SortFunc(a.list, func(x, y Advice) int { return cmp.Or(cmp.Compare(y.Bytes, x.Bytes), strings.Compare(x.Text, y.Text)) })
	return a.list[:min(len(a.list), maxAdvice)]
}

func (a *adviser) say(layer int, bytes int64, format string, args ...any) {
	if bytes >= worthTelling {
		a.list = append(a.list, Advice{Layer: layer, Bytes: bytes, Text: fmt.Sprintf(format, args...)})
	}
}

// quote is an instruction as sentences name it.
func (a *adviser) quote(layer int) string {
	text := strings.Join(strings.Fields(a.says[layer]), " ")
	if text == "" {
		return fmt.Sprintf("Layer %d", layer+1)
	}
	if r := []rune(text); len(r) > maxQuoted {
		text = string(r[:maxQuoted-1]) + "…"
	}
	return "`" + text + "`"
}

func counted(n int) string {
	if n == 1 {
		return "a file"
	}
	return fmt.Sprintf("%d files", n)
}

func human(n int64) string {
	units, f, u := []string{"B", "KB", "MB", "GB", "TB"}, float64(n), 0
	for f >= 1024 && u < len(units)-1 {
		f, u = f/1024, u+1
	}
	if f >= 10 || u == 0 {
		return fmt.Sprintf("%.0f %s", f, units[u])
	}
	return fmt.Sprintf("%.1f %s", f, units[u])
}
