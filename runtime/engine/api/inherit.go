package api

import (
	"bytes"
	"errors"
	"io/fs"
	"net/http"
	"path"
	"syscall"

	"berth/runtime/engine/files"
)

// heir gives what is made in a volume to the owner of the directory that it is made in: a file that was uploaded for a
// container's user is that user's. What was there keeps its owner.
type heir struct {
	tree     *files.Tree
	missing  []string // what is not there, the outermost first
	uid, gid int
}

// newHeir looks at what is there before something is made at name.
func newHeir(tree *files.Tree, name string) heir {
	h := heir{tree: tree}
	for at := name; ; at = path.Dir(at) {
		way, err := tree.Way(at)
		if err != nil && at != "/" {
			h.missing = append([]string{at}, h.missing...)
			continue
		}
		if err == nil {
			if st, ok := way[len(way)-1].Sys().(*syscall.Stat_t); ok {
				h.uid, h.gid = int(st.Uid), int(st.Gid)
			}
		}
		return h
	}
}

// take does it, where something was made.
func (h heir) take() error {
	if h.uid == 0 && h.gid == 0 { // what is made is root's
		return nil
	}
	for _, name := range h.missing {
		err := h.tree.Chown(name, h.uid, h.gid)
		if err != nil && !errors.Is(err, fs.ErrNotExist) { // it was not made, and that is told already
			return err
		}
	}
	return nil
}

// held is an answer that is not given before the owner is right. Only small ones are held.
type held struct {
	http.ResponseWriter
	status int
	body   bytes.Buffer
}

func (h *held) WriteHeader(status int)      { h.status = status }
func (h *held) Write(b []byte) (int, error) { return h.body.Write(b) }

// give gives the answer.
func (h *held) give() {
	if h.status != 0 {
		h.ResponseWriter.WriteHeader(h.status)
	}
	_, _ = h.ResponseWriter.Write(h.body.Bytes()) // the client has gone: nobody to tell
}
