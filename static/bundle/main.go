// Command bundle makes static/dist from static/src. It needs the npm packages of static/package-lock.json, which
// `make gen` installs. With -check it writes nothing and fails where dist is not what the sources make.
package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/evanw/esbuild/pkg/api"
)

func main() {
	dir := flag.String("dir", ".", "the folder static")
	check := flag.Bool("check", false, "only compare")
	flag.Parse()
	if err := run(*dir, *check); err != nil {
		fmt.Fprintln(os.Stderr, "bundle:", err)
		os.Exit(1)
	}
}

func run(dir string, check bool) error {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	files, err := build(abs)
	if err != nil {
		return err
	}
	if check {
		return compare(filepath.Join(abs, "dist"), files)
	}
	return write(filepath.Join(abs, "dist"), files)
}

// build returns the files of dist by name, the manifest among them.
func build(dir string) (map[string][]byte, error) {
	entries := []string{
		"theme.js", "home.js", "session.js", "docker.js", "build.js", "files.js", "editor.js", "base.css", "session.css", "build.css", "icon.svg",
	}
	paths := make([]string, len(entries))
	for i, e := range entries {
		paths[i] = filepath.Join(dir, "src", e)
	}
	out := filepath.Join(dir, "dist")
	result := api.Build(api.BuildOptions{
		EntryPoints:       paths,
		Outdir:            out,
		EntryNames:        "[name]-[hash]",
		AbsWorkingDir:     dir,
		Bundle:            true,
		Format:            api.FormatESModule,
		Target:            api.ES2022,
		MinifyWhitespace:  true,
		MinifyIdentifiers: true,
		MinifySyntax:      true,
		LegalComments:     api.LegalCommentsEndOfFile,
		Loader:            map[string]api.Loader{".svg": api.LoaderCopy},
		Metafile:          true,
		LogLevel:          api.LogLevelWarning,
		Plugins:           []api.Plugin{strictStyles()},
	})
	if len(result.Errors) > 0 {
		return nil, errors.New("the sources do not build (see above)")
	}
	return collect(dir, out, result)
}

func collect(dir, out string, result api.BuildResult) (map[string][]byte, error) {
	var meta struct {
		Outputs map[string]struct {
			EntryPoint string `json:"entryPoint"`
		} `json:"outputs"`
	}
	if err := json.Unmarshal([]byte(result.Metafile), &meta); err != nil {
		return nil, fmt.Errorf("read esbuild's report: %w", err)
	}
	files := map[string][]byte{}
	manifest := map[string]string{}
	for _, f := range result.OutputFiles {
		name, err := filepath.Rel(out, f.Path)
		if err != nil {
			return nil, err
		}
		rel, err := filepath.Rel(dir, f.Path)
		if err != nil {
			return nil, err
		}
		files[name] = f.Contents
		manifest[logical(meta.Outputs[rel].EntryPoint, name)] = name
	}
	list, err := json.MarshalIndent(manifest, "", "  ")
	if err != nil {
		return nil, err
	}
	files["manifest.json"] = append(list, '\n')
	return files, nil
}

// logical is the source's name; files that esbuild copies have no entry point in its report.
func logical(entry, hashed string) string {
	if entry != "" {
		return filepath.Base(entry)
	}
	ext := filepath.Ext(hashed)
	stem, _, _ := strings.Cut(strings.TrimSuffix(hashed, ext), "-")
	return stem + ext
}

func write(out string, files map[string][]byte) error {
	if err := os.RemoveAll(out); err != nil {
		return err
	}
	if err := os.MkdirAll(out, 0o755); err != nil {
		return err
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(out, name), content, 0o644); err != nil {
			return err
		}
	}
	return nil
}

func compare(out string, files map[string][]byte) error {
	for name, content := range files {
		have, err := os.ReadFile(filepath.Join(out, name))
		if err != nil || !bytes.Equal(have, content) {
			return fmt.Errorf("%s is not what the sources make: run `make gen` and commit static/dist", name)
		}
	}
	have, err := os.ReadDir(out)
	if err != nil {
		return err
	}
	if len(have) != len(files) {
		return errors.New("static/dist holds files that the sources do not make: run `make gen` and commit it")
	}
	return nil
}
