package dockerapi

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"os"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/events"
	"github.com/moby/sys/user"

	"berth/runtime/engine/files"
)

// Copied is what `docker cp` needs of one container.
type Copied interface {
	// OpenFiles opens its files as its processes see them, or would: with its volumes. Call done when they are not used
	// any more; a container that does not run can be started only then.
	OpenFiles(ctx context.Context) (tree *files.Tree, done func() error, err error)
	Config() (*container.Config, *container.HostConfig)
	// Publish tells those who listen to events.
	Publish(action events.Action)
}

// Archives answers for files of containers.
type Archives[C Copied] struct {
	Manager interface{ Get(ref string) (C, error) }
	Log     *slog.Logger
}

// Routes adds the routes of files.
func (a Archives[C]) Routes(r *Router) {
	r.Handle(http.MethodHead, "/containers/{name:.*}/archive", a.stat)
	r.Handle(http.MethodGet, "/containers/{name:.*}/archive", a.get)
	r.Handle(http.MethodPut, "/containers/{name:.*}/archive", a.put)
}

// statHeader describes a file to clients: JSON in base64.
const statHeader = "X-Docker-Container-Path-Stat"

// in calls f with the container's files, and gives errors Docker's words.
func (a Archives[C]) in(r *http.Request, f func(c C, tree *files.Tree, name string) error) (err error) {
	name := r.FormValue("path")
	if name == "" {
		return Invalid("bad parameter: path is required")
	}
	c, err := a.Manager.Get(Var(r, "name"))
	if err != nil {
		return err
	}
	tree, done, err := c.OpenFiles(r.Context())
	if err != nil {
		return err
	}
	defer func() {
		if e := done(); e != nil {
			a.Log.Error("the files of a container are not given back", "container", Var(r, "name"), "error", e)
		}
	}()
	err = f(c, tree, name)
	switch kind := new(files.KindError); {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("Could not find the file %s in container %s%w", //nolint:staticcheck // Docker's words
			name, Var(r, "name"), hidden{errdefs.ErrNotFound})
	case errors.Is(err, files.ErrNotDirectory), errors.Is(err, files.ErrReadOnlyRoot), errors.Is(err, files.ErrReadOnlyVolume),
		errors.Is(err, files.ErrArchive), errors.As(err, &kind):
		return Invalid("%s", err)
	}
	return err
}

func (a Archives[C]) stat(w http.ResponseWriter, r *http.Request) error {
	return a.in(r, func(_ C, tree *files.Tree, name string) error {
		resource, err := tree.Resource(name)
		if err != nil {
			return err
		}
		defer resource.Close()
		return describe(w, resource)
	})
}

func describe(w http.ResponseWriter, r *files.Resource) error {
	b, err := json.Marshal(container.PathStat{
		Name: r.Name, Size: r.Info.Size(), Mode: r.Info.Mode(), Mtime: r.Info.ModTime(), LinkTarget: r.Target,
	})
	if err != nil {
		return err
	}
	w.Header().Set(statHeader, base64.StdEncoding.EncodeToString(b))
	return nil
}

func (a Archives[C]) get(w http.ResponseWriter, r *http.Request) error {
	return a.in(r, func(c C, tree *files.Tree, name string) error {
		resource, err := tree.Resource(name)
		if err != nil {
			return err
		}
		defer resource.Close()
		if err := describe(w, resource); err != nil {
			return err
		}
		w.Header().Set("Content-Type", "application/x-tar")
		c.Publish(events.ActionArchivePath)
		if err := resource.WriteTar(w); err != nil {
			a.Log.Debug("an archive ended early", "container", Var(r, "name"), "path", name, "error", err)
			panic(http.ErrAbortHandler) // the client must not take a part for the whole
		}
		return nil
	})
}

func (a Archives[C]) put(_ http.ResponseWriter, r *http.Request) error {
	return a.in(r, func(c C, tree *files.Tree, name string) error {
		o := files.ExtractOptions{KeepKinds: Flag(r, "noOverwriteDirNonDir")}
		if config, _ := c.Config(); Flag(r, "copyUIDGID") && config.User != "" {
			owner, err := ownerOf(tree, config.User)
			if err != nil {
				return Invalid("%s", err)
			}
			o.Owner = owner
		}
		if err := tree.Extract(name, r.Body, o); err != nil {
			return err
		}
		c.Publish(events.ActionExtractToDir)
		return nil
	})
}

// ownerOf looks a user up in the container, as `docker run --user` does.
func ownerOf(tree *files.Tree, who string) (*files.Owner, error) {
	var opened [2]*os.File
	for i, name := range []string{"/etc/passwd", "/etc/group"} {
		f, _, err := tree.Open(name)
		if errors.Is(err, fs.ErrNotExist) {
			f, err = os.Open(os.DevNull)
		}
		if err != nil {
			return nil, err
		}
		defer f.Close()
		opened[i] = f
	}
	u, err := user.GetExecUser(who, nil, io.Reader(opened[0]), io.Reader(opened[1]))
	if err != nil {
		return nil, err
	}
	return &files.Owner{UID: u.Uid, GID: u.Gid}, nil
}
