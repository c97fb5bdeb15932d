package e2e_test

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// answer is what came of a build: its files are log (of both streams), status, log2 and status2 of the second build, image
// (JSON), run, files (a tar), and errors of what was done around it.
type answer map[string]string

func readAnswer(out string) (answer, error) {
	a := answer{}
	r := tar.NewReader(strings.NewReader(out))
	for {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return a, nil
		}
		if err != nil {
			return nil, err
		}
		b, err := io.ReadAll(r)
		if err != nil {
			return nil, err
		}
		a[h.Name] = string(b)
	}
}

// differences tells where an answer is not what is wanted, a line each.
func (d *dockerfile) differences(a answer) []string {
	var found []string
	tell := func(format string, args ...any) { found = append(found, fmt.Sprintf(format, args...)) }
	status := d.head["status"]
	if status == "" {
		status = "0"
	}
	if got := strings.TrimSpace(a["status"]); got != status {
		tell("exit status %s, want %s", got, status)
	}
	if got := strings.TrimSpace(a["status2"]); d.again != "" && got != "0" {
		tell("the second build's exit status is %s", got)
	}
	for line := range strings.Lines(d.want.output) {
		line, not := strings.CutPrefix(strings.TrimSuffix(line, "\n"), "! ")
		if loose(line).MatchString(a["log"]) == not {
			tell("output: %s%q", map[bool]string{false: "there is no ", true: "there is "}[not], line)
		}
	}
	if d.want.run != "" && !matches(a["run"], d.want.run) {
		tell("run: got %q, want %q", a["run"], d.want.run)
	}
	if got := cachedSteps(a["log2"]); d.want.cachedToo && !slices.Equal(got, slices.Sorted(strings.SplitSeq(strings.TrimSpace(d.want.cached), "\n"))) {
		tell("cached: got %q, want %q", strings.Join(got, "\n"), d.want.cached)
	}
	found = append(found, d.configDifferences(a["image"])...)
	return append(found, d.fileDifferences(a["files"])...)
}

// loose finds a line's text anywhere; … in it is anything.
func loose(line string) *regexp.Regexp {
	return regexp.MustCompile(strings.ReplaceAll(regexp.QuoteMeta(line), "…", ".*"))
}

var (
	stepLine   = regexp.MustCompile(`(?m)^#(\d+) (\[.*)$`)
	cachedLine = regexp.MustCompile(`(?m)^#(\d+) CACHED$`)
)

// cachedSteps are the steps that a log says to be cached. "" alone is none.
func cachedSteps(log string) []string {
	names, steps := map[string]string{}, []string{}
	for _, m := range stepLine.FindAllStringSubmatch(log, -1) {
		names[m[1]] = strings.TrimSpace(m[2])
	}
	for _, m := range cachedLine.FindAllStringSubmatch(log, -1) {
		if name := names[m[1]]; !strings.Contains(name, "] FROM ") && !strings.HasPrefix(name, "[internal]") {
			steps = append(steps, name)
		}
	}
	if len(steps) == 0 {
		return []string{""}
	}
	slices.Sort(steps)
	return slices.Compact(steps)
}

func (d *dockerfile) configDifferences(image string) []string {
	if d.want.config == "" {
		return nil
	}
	var outer, config map[string]any
	if err := json.Unmarshal([]byte(image), &outer); err != nil {
		return []string{fmt.Sprintf("inspect: %v: %q", err, image)}
	}
	config, _ = outer["Config"].(map[string]any)
	var found []string
	for line := range strings.Lines(d.want.config) {
		key, want, _ := strings.Cut(strings.TrimSpace(line), ": ")
		value, ok := config[key]
		if !ok {
			value = outer[key]
		}
		if got := compact(value); !matches(got, want) {
			found = append(found, fmt.Sprintf("config %s: got %s, want %s", key, got, want))
		}
	}
	return found
}

// compact is JSON without spaces and with sorted keys; what is empty is null.
func compact(value any) string {
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	if err := e.Encode(value); err != nil {
		return err.Error()
	}
	got := strings.TrimSpace(out.String())
	if slices.Contains([]string{`[]`, `{}`, `""`, `false`}, got) {
		return "null"
	}
	return got
}

// wantedFile is a line of a `want files` section:
//
//	/path [MODE] [UID:GID] [size=N] ["content"]   a file, or a directory where the path ends in a slash
//	/path -> target                              a symbolic link
//	/path = /other                               the same file as one in a line above
//	/path absent
//
// A path with other than plain characters is in quotes, as in Go.
type wantedFile struct {
	path  string
	words []string
}

var fileWord = regexp.MustCompile(`"(?:[^"\\]|\\.)*"|\S+`)

func (d *dockerfile) wantedFiles() []wantedFile {
	var all []wantedFile
	for line := range strings.Lines(d.want.files) {
		words := fileWord.FindAllString(line, -1)
		if len(words) > 0 {
			all = append(all, wantedFile{unquote(words[0]), words[1:]})
		}
	}
	return all
}

func unquote(word string) string {
	if text, err := strconv.Unquote(word); err == nil {
		return text
	}
	return word
}

func (d *dockerfile) fileDifferences(archive string) []string {
	found, err := readFiles(archive)
	if err != nil {
		return []string{"files: " + err.Error()}
	}
	var differ []string
	for _, f := range d.wantedFiles() {
		if err := f.check(found); err != nil {
			differ = append(differ, fmt.Sprintf("%q: %v", f.path, err))
		}
	}
	return differ
}

type imageFile struct {
	*tar.Header
	content string
}

// readFiles is by path, without slashes at its ends.
func readFiles(archive string) (map[string]imageFile, error) {
	found := map[string]imageFile{}
	r := tar.NewReader(strings.NewReader(archive))
	for {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return found, nil
		}
		if err != nil {
			return nil, err
		}
		var content bytes.Buffer
		if _, err = io.Copy(&content, r); err != nil {
			return nil, err
		}
		found[strings.Trim(h.Name, "/")] = imageFile{h, content.String()}
	}
}

func (f wantedFile) check(found map[string]imageFile) error {
	is, ok := found[strings.Trim(f.path, "/")]
	if len(f.words) == 1 && f.words[0] == "absent" {
		if ok {
			return errors.New("is there")
		}
		return nil
	}
	if !ok {
		return errors.New("is not there")
	}
	kind := byte(tar.TypeReg)
	switch {
	case len(f.words) == 2 && f.words[0] == "->":
		if is.Typeflag != tar.TypeSymlink || is.Linkname != unquote(f.words[1]) {
			return fmt.Errorf("is %q to %q", is.Typeflag, is.Linkname)
		}
		return nil
	case len(f.words) == 2 && f.words[0] == "=":
		if is.Typeflag != tar.TypeLink || strings.Trim(is.Linkname, "/") != strings.Trim(unquote(f.words[1]), "/") {
			return fmt.Errorf("is %q to %q", is.Typeflag, is.Linkname)
		}
		return nil
	case strings.HasSuffix(f.path, "/"):
		kind = tar.TypeDir
	}
	if is.Typeflag != kind {
		return fmt.Errorf("is of type %q, want %q", is.Typeflag, kind)
	}
	for _, word := range f.words {
		if err := is.is(word); err != nil {
			return err
		}
	}
	return nil
}

// is checks a file against a word of its line.
func (i imageFile) is(word string) error {
	var got, want string
	switch {
	case strings.HasPrefix(word, `"`):
		got, want = i.content, unquote(word)
	case strings.HasPrefix(word, "size="):
		got, want = fmt.Sprintf("size=%d", i.Size), word
	case strings.Contains(word, ":"):
		got, want = fmt.Sprintf("%d:%d", i.Uid, i.Gid), word
	default:
		got, want = fmt.Sprintf("%04o", i.Mode&0o7777), word
	}
	if got != want {
		return fmt.Errorf("has %q, want %q", got, want)
	}
	return nil
}
