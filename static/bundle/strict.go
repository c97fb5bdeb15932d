package main

import (
	"fmt"
	"os"
	"regexp"
	"strings"

	"github.com/evanw/esbuild/pkg/api"
)

// What xterm.js 6.0.0 does that a policy without 'unsafe-inline' forbids: three <style> elements that it fills, and one
// style attribute. The elements get the page's nonce, the attribute is set through the CSSOM, which no policy forbids.
const (
	styleElements   = 3
	styleAttributes = 1
)

var (
	makesStyle = regexp.MustCompile(`([\w.]+)\.createElement\("style"\)`)
	setsStyle  = regexp.MustCompile("(\\w+)\\.setAttribute\\(\"style\",(`[^`]*`)\\)")
)

// strictStyles changes xterm.js while it is bundled, and fails where a new version of it has other places to change.
func strictStyles() api.Plugin {
	return api.Plugin{Name: "strict-styles", Setup: func(b api.PluginBuild) {
		b.OnLoad(api.OnLoadOptions{Filter: `@xterm/xterm/lib/xterm\.mjs$`}, func(a api.OnLoadArgs) (api.OnLoadResult, error) {
			raw, err := os.ReadFile(a.Path)
			if err != nil {
				return api.OnLoadResult{}, err
			}
			text := string(raw)
			if n := len(makesStyle.FindAllString(text, -1)); n != styleElements {
				return api.OnLoadResult{}, fmt.Errorf("%s makes %d style elements, not %d: look at each", a.Path, n, styleElements)
			}
			if n := strings.Count(text, `setAttribute("style"`); n != styleAttributes || len(setsStyle.FindAllString(text, -1)) != n {
				return api.OnLoadResult{}, fmt.Errorf("%s sets %d style attributes, not %d: look at each", a.Path, n, styleAttributes)
			}
			text = makesStyle.ReplaceAllString(text,
				`Object.assign($1.createElement("style"),{nonce:document.getElementById("session-css").nonce})`)
			text = setsStyle.ReplaceAllString(text, `($1.style.cssText=$2)`)
			return api.OnLoadResult{Contents: &text, Loader: api.LoaderJS}, nil
		})
	}}
}
