package static_test

import (
	"testing"

	"berth/static"
)

// What is fetched when the files or the first file are opened may weigh, in bytes after compression.
const (
	filesBudget  = 16 << 10
	editorBudget = 200 << 10
)

// TestFilesAreLight: the files are beside the shell from the first on, where the window is wide; the editor is fetched later.
func TestFilesAreLight(t *testing.T) {
	a, err := static.New()
	if err != nil {
		t.Fatal(err)
	}
	page := a.Size("theme.js") + a.Size("session.js") + a.Size("base.css") + a.Size("session.css") + a.Size("icon.svg")
	files, editor := a.Size("files.js"), a.Size("editor.js")
	t.Logf("the files %d bytes, the editor %d bytes more", files, editor)
	if files == 0 || files > filesBudget || page+files > sessionBudget-(8<<10) || editor == 0 || editor > editorBudget {
		t.Errorf("files %d of %d bytes, with the page %d of %d, editor %d of %d", files, filesBudget, page+files, sessionBudget, editor, editorBudget)
	}
}
