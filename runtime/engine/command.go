package engine

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/moby/sys/user"
	specs "github.com/opencontainers/runtime-spec/specs-go"

	"berth/runtime/engine/oci"
	"berth/terminal/execstream"
)

// searchPath is what a process gets when neither the image nor the request says one (Docker's).
const searchPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// process describes a process of the workspace: the request over the environment over the image.
func (w *workspace) process(cmd execstream.Request) (*specs.Process, error) {
	image := w.config.Image.Config
	who := image.User
	if cmd.User != "" {
		who = cmd.User
	}
	u, err := w.lookup(who)
	if err != nil {
		return nil, &execstream.StartError{Code: codeCannotRun, Err: fmt.Errorf("user %q: %w", who, err)}
	}
	env := mergeEnv([]string{"PATH=" + searchPath, "HOME=" + u.Home}, image.Env, w.config.Env, cmd.Env)
	if cmd.TTY {
		env = mergeEnv([]string{"TERM=xterm-256color"}, env)
	}
	caps := oci.WorkspaceCapabilities()
	if u.Uid != 0 { // as execve(2) leaves them to a user who is not root
		caps.Effective, caps.Permitted = nil, nil
	}
	p := &specs.Process{
		Terminal: cmd.TTY, Args: cmd.Cmd, Env: env, Cwd: w.workdir(cmd.Workdir, u.Home), Capabilities: caps,
		OOMScoreAdj: oci.OOMScoreAdj(),
		User:        specs.User{UID: uint32(u.Uid), GID: uint32(u.Gid), AdditionalGids: groups(u.Sgids)},
	}
	if cmd.TTY {
		p.ConsoleSize = &specs.Box{Width: uint(cmd.Size.Cols), Height: uint(cmd.Size.Rows)}
	}
	return p, nil
}

// workdir is where a process starts: what was asked for, else what the image says, else the user's home.
func (w *workspace) workdir(asked, home string) string {
	for _, dir := range []string{asked, w.config.Image.Config.WorkingDir, home} {
		if !filepath.IsAbs(dir) {
			continue
		}
		if dir == asked || w.isDir(dir) { // a directory asked for that is not there is an error, told by runc
			return dir
		}
	}
	return "/"
}

func (w *workspace) isDir(dir string) bool {
	f, info, err := w.files().Open(dir)
	if err != nil {
		return false
	}
	_ = f.Close() // read-only: nothing to lose
	return info.IsDir()
}

// lookup finds a user by `name|uid[:group|gid]` in the workspace's own /etc/passwd and /etc/group. An image without
// these files has root and numbers.
func (w *workspace) lookup(who string) (*user.ExecUser, error) {
	passwd, err := w.optional("/etc/passwd")
	if err != nil {
		return nil, err
	}
	defer passwd.Close()
	group, err := w.optional("/etc/group")
	if err != nil {
		return nil, err
	}
	defer group.Close()
	return user.GetExecUser(who, &user.ExecUser{Home: "/"}, passwd, group)
}

// optional opens a file of the workspace, or an empty one where there is none.
func (w *workspace) optional(name string) (*os.File, error) {
	f, _, err := w.files().Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return os.Open(os.DevNull)
	}
	return f, err
}

// shell is what a terminal starts.
func (w *workspace) shell() []string {
	if len(w.config.Shell) > 0 {
		return w.config.Shell
	}
	if f, _, err := w.files().Open("/bin/bash"); err == nil {
		_ = f.Close()
		return []string{"/bin/bash"}
	}
	return []string{"/bin/sh"}
}

// mergeEnv merges lists of KEY=value; later ones win, the order is kept.
func mergeEnv(lists ...[]string) []string {
	var merged []string
	for _, list := range lists {
		for _, kv := range list {
			key, _, _ := strings.Cut(kv, "=")
			i := slices.IndexFunc(merged, func(have string) bool { return strings.HasPrefix(have, key+"=") })
			if i >= 0 {
				merged[i] = kv
			} else {
				merged = append(merged, kv)
			}
		}
	}
	return merged
}

func groups(gids []int) []uint32 {
	out := make([]uint32, len(gids))
	for i, g := range gids {
		out[i] = uint32(g)
	}
	return out
}
