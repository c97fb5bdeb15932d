package webtest

import (
	"context"
	"log/slog"
	"net/http"
	"os"
	"strings"

	"berth/runtime/engine/api"
	"berth/runtime/engine/files"
)

// workspace is the tree of a sandbox's files: a directory of the host's.
type workspace struct{ dir string }

func (w workspace) Files() *files.Tree { return files.At(w.dir) }

func (w workspace) EndProcesses(context.Context) (int, error) { return 0, nil }

// fileTree is what the engine itself serves, over a directory that is made when it is first asked for.
type fileTree struct {
	dir string
	api http.Handler
}

// Dir is the directory that is the root of the sandbox's files. It has root's home and nothing else.
func (s *Sandbox) Dir() string { return s.tree().dir }

func (s *Sandbox) tree() *fileTree {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fileTree != nil {
		return s.fileTree
	}
	dir, err := os.MkdirTemp("", "berth-files-")
	if err == nil {
		err = os.Mkdir(dir+"/root", 0o755)
	}
	if err != nil {
		panic(err) // a test without a temporary directory
	}
	s.fileTree = &fileTree{dir: dir, api: (&api.Server{Workspace: workspace{dir}, Log: slog.New(slog.DiscardHandler)}).Handler()}
	return s.fileTree
}

func (s *Sandbox) removeFiles() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fileTree != nil {
		_ = os.RemoveAll(s.fileTree.dir)
	}
}

// isOfPage says whether a request is one that the page makes; others are those that try the proxy.
func isOfPage(r *http.Request) bool {
	q := r.URL.Query()
	return strings.HasPrefix(r.URL.Path, "/v1/files/root") || q.Has("limit") || q.Has("watch")
}
