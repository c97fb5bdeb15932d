package files

import (
	"errors"
	"io/fs"
	"os"
	"path"
)

// identity is the mode and the owner of a file that is to be written: those of what is there, else those of a new one in dir.
func (t *Tree) identity(there fs.FileInfo, dir *os.Root) (mode fs.FileMode, uid, gid int, err error) {
	if there != nil {
		uid, gid = owner(there)
		return there.Mode() & permissions, uid, gid, nil
	}
	if t.Inherit {
		above, err := dir.Stat(".")
		if err != nil {
			return 0, 0, 0, err
		}
		uid, gid = owner(above)
	}
	return 0o644, uid, gid, nil
}

func owner(info fs.FileInfo) (uid, gid int) {
	st := info.Sys().(*unixStat)
	return int(st.Uid), int(st.Gid)
}

// missing are the directories that Mkdir will make, the innermost first.
func (t *Tree) missing(name string) (made []string, err error) {
	if !t.Inherit {
		return nil, nil
	}
	for at := path.Clean("/" + name); at != "/"; at = path.Dir(at) {
		switch _, err := t.stat(at); {
		case errors.Is(err, fs.ErrNotExist):
			made = append(made, at)
		case err != nil:
			return nil, err
		default:
			return made, nil
		}
	}
	return made, nil
}

// bequeath gives directories to the owner of the one above them all.
func (t *Tree) bequeath(made []string) error {
	if len(made) == 0 {
		return nil
	}
	above, err := t.stat(path.Dir(made[len(made)-1]))
	if err != nil {
		return err
	}
	uid, gid := owner(above)
	for _, name := range made {
		if err := t.Chown(name, uid, gid); err != nil {
			return err
		}
	}
	return nil
}
