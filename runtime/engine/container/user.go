package container

import (
	"errors"
	"io/fs"
	"os"

	"github.com/cyphar/filepath-securejoin/pathrs-lite"
	"github.com/moby/sys/user"
	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// lookupUser finds a user by `name|uid[:group|gid]`, and more groups, in the container's own /etc/passwd and /etc/group, with
// the user's home. An image without these files has root and numbers.
func lookupUser(rootfs, who string, more []string) (out specs.User, home string, err error) {
	passwd, err := openIn(rootfs, "/etc/passwd")
	if err != nil {
		return out, "", err
	}
	defer passwd.Close()
	group, err := openIn(rootfs, "/etc/group")
	if err != nil {
		return out, "", err
	}
	defer group.Close()
	u, err := user.GetExecUser(who, &user.ExecUser{Home: "/"}, passwd, group)
	if err != nil {
		return out, "", invalid("%v", err)
	}
	gids := u.Sgids
	if len(more) > 0 {
		again, err := openIn(rootfs, "/etc/group")
		if err != nil {
			return out, "", err
		}
		defer again.Close()
		added, err := user.GetAdditionalGroups(more, again)
		if err != nil {
			return out, "", invalid("%v", err)
		}
		gids = append(gids, added...)
	}
	// The primary group stands among the others, as Docker has it: CVE-2022-36109.
	out = specs.User{UID: uint32(u.Uid), GID: uint32(u.Gid), AdditionalGids: []uint32{uint32(u.Gid)}}
	for _, g := range gids {
		if g != u.Gid {
			out.AdditionalGids = append(out.AdditionalGids, uint32(g))
		}
	}
	return out, u.Home, nil
}

// openIn opens a file below a container's root, whose links it does not leave, or an empty one where there is none.
func openIn(rootfs, name string) (*os.File, error) {
	f, err := pathrs.OpenInRoot(rootfs, name)
	if errors.Is(err, fs.ErrNotExist) {
		return os.Open(os.DevNull)
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	r, err := pathrs.Reopen(f, os.O_RDONLY|0o4000) // O_NONBLOCK: a pipe there is not waited for
	if err != nil {
		return nil, err
	}
	return r, nil
}
