package e2e_test

import (
	"archive/tar"
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// dockerfile is one file of e2e/dockerfiles: what a visitor builds, and what comes of it. The file is text in the form of
// txtar: lines of the head, then sections, each after a line `-- NAME --`.
//
// The head's first line says what is shown; then there may be
//
//	flags: …     more arguments of docker build, in bash
//	again: …     arguments of the second build, where they differ
//	status: N    the first build's exit status, 0 where this is not said
//	syntax: 1.N  which version of the Dockerfile's syntax the builder must know
//	dockerd: …   why an old dockerd (20.10) answers otherwise, where it knows the syntax
//	berth: …     why Berth answers otherwise than Docker. It is a fault: mend it and take the line away
//
// The section `do setup` is bash, run in the context before the build, `do again` what is changed before a second build. A
// section `want …` says what is expected: see wanted. Every other section is a file of the context.
type dockerfile struct {
	name  string
	head  map[string]string
	files []section
	setup string
	again string // not "": there is a second build
	want  wanted
}

type section struct{ name, text string }

// wanted is what is expected of a build.
type wanted struct {
	// output has lines that are somewhere in what the build says; … is anything on that line. `! ` before one: it is not there.
	output string
	// config has lines `Key: JSON` of the image's config, or of `docker image inspect` where the config has no such key.
	config string
	// files has lines of files in the image: see wantedFile.
	files string
	// run is what the image's own command prints.
	run string
	// cached has the names of the steps that the second build takes from the cache, without FROM.
	cached string
	// cachedToo is whether cached is said: it may say that none is.
	cachedToo bool
}

// dockerfiles reads the table.
func dockerfiles(t *testing.T) []dockerfile {
	t.Helper()
	paths, err := filepath.Glob("dockerfiles/*.txtar")
	must(t, err)
	var all []dockerfile
	for _, path := range paths {
		text, err := os.ReadFile(path)
		must(t, err)
		d, err := parseDockerfile(string(text))
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		d.name = strings.TrimSuffix(filepath.Base(path), ".txtar")
		all = append(all, d)
	}
	if len(all) < 60 {
		t.Fatalf("the table has %d Dockerfiles only", len(all))
	}
	return all
}

func parseDockerfile(text string) (dockerfile, error) {
	d := dockerfile{head: map[string]string{}}
	head, sections := sectionsOf(text)
	for line := range strings.Lines(head) {
		key, value, ok := strings.Cut(strings.TrimSpace(line), ": ")
		if ok && slices.Contains([]string{"flags", "again", "status", "syntax", "dockerd", "berth"}, key) {
			d.head[key] = value
		}
	}
	for _, s := range sections {
		switch kind, what, _ := strings.Cut(s.name, " "); kind {
		case "do":
			into := map[string]*string{"setup": &d.setup, "again": &d.again}[what]
			if into == nil {
				return d, fmt.Errorf("section %q", s.name)
			}
			*into = s.text + "\n:"
		case "want":
			into := map[string]*string{"output": &d.want.output, "config": &d.want.config, "files": &d.want.files, "run": &d.want.run, "cached": &d.want.cached}[what]
			if into == nil {
				return d, fmt.Errorf("section %q", s.name)
			}
			*into = s.text
			d.want.cachedToo = d.want.cachedToo || what == "cached"
		default:
			d.files = append(d.files, s)
		}
	}
	if d.want == (wanted{}) {
		return d, fmt.Errorf("nothing is expected")
	}
	return d, nil
}

// sectionsOf splits a text at its lines `-- NAME --`.
func sectionsOf(text string) (head string, sections []section) {
	for line := range strings.Lines(text) {
		name, ok := strings.CutPrefix(strings.TrimSuffix(line, "\n"), "-- ")
		if ok {
			name, ok = strings.CutSuffix(name, " --")
		}
		switch {
		case ok:
			sections = append(sections, section{name: name})
		case len(sections) == 0:
			head += line
		default:
			sections[len(sections)-1].text += line
		}
	}
	return head, sections
}

// contexts is a tar with the context of each, below its name, and what the web server has.
func contexts(t *testing.T, all []dockerfile) []byte {
	t.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	changed := time.Unix(1_700_000_000, 0)
	put := func(name, text string) {
		// BuildKit takes files of two contexts of the same name for the same, as rsync does, by their size and time.
		changed = changed.Add(time.Second)
		must(t, w.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(text)), ModTime: changed}))
		_, err := w.Write([]byte(text))
		must(t, err)
	}
	put("www/served", "served\n")
	for _, d := range all {
		must(t, w.WriteHeader(&tar.Header{Name: d.name + "/context/", Typeflag: tar.TypeDir, Mode: 0o755}))
		must(t, w.WriteHeader(&tar.Header{Name: d.name + "/root/", Typeflag: tar.TypeDir, Mode: 0o755}))
		for _, f := range d.files {
			put(d.name+"/context/"+f.name, f.text)
		}
	}
	must(t, w.Close())
	return out.Bytes()
}

// script builds it in the present directory and writes a tar with what came of it: see answer.
func (d *dockerfile) script() string {
	tag := "df-" + strings.ToLower(d.name)
	build := func(n, flags string) string {
		return fmt.Sprintf("docker build --progress=plain $BUILD_FLAGS -t %s %s . >../log%s 2>&1; echo $? >../status%s\n", tag, flags, n, n)
	}
	s := "{ cd " + d.name + "/context || exit\n" + d.setup + "\n" + build("", d.head["flags"])
	if d.again != "" {
		flags, ok := d.head["again"]
		if !ok {
			flags = d.head["flags"]
		}
		s += d.again + "\n" + build("2", flags)
	}
	if d.want.config != "" {
		s += "docker image inspect -f '{{json .}}' " + tag + " >../image\n"
	}
	if d.want.run != "" {
		s += "docker run --rm " + tag + " >../run\n"
	}
	if d.want.files != "" {
		var names []string
		for _, f := range d.wantedFiles() {
			names = append(names, quoted(strings.Trim(f.path, "/")))
		}
		list := " --no-unquote -- " + strings.Join(names, " ")
		s += "docker create --name " + tag + " " + tag + " none >/dev/null; docker export " + tag + " | tar -xp --numeric-owner -C ../root" + list +
			"\ntar -c --numeric-owner --no-recursion -C ../root -f ../files" + list + "\ndocker rm -f " + tag + " >/dev/null\n"
	}
	return s + "cd ..; } >errors 2>&1; exec tar -c --ignore-failed-read errors log* status* $(ls -d image run files 2>/dev/null)"
}

// quoted is text as one word of bash.
func quoted(text string) string { return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'" }
