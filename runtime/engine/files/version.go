package files

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
)

// ErrChanged says that a file is not the version that it had to be.
var ErrChanged = errors.New("the file has changed since it was read")

// Condition is what must hold of a file for it to be written. The zero value holds of every file.
type Condition struct {
	Versions []string // it must be one of these
	Exists   bool     // there must be a file
	New      bool     // there must be nothing
}

// Version names the state of a file: whoever writes to it, or puts another in its place, gives it another one. Two writes
// within a tick of the kernel's clock (4 ms; none since kernel 6.13) that leave its size may go unseen.
func Version(info fs.FileInfo) string {
	var inode uint64
	if st, ok := info.Sys().(*unixStat); ok {
		inode = st.Ino
	}
	return fmt.Sprintf("%x-%x-%x", inode, info.Size(), info.ModTime().UnixNano())
}

// check looks at what is there, and returns its information where there is something.
func (c Condition) check(dir *os.Root, base string) (fs.FileInfo, error) {
	info, err := dir.Lstat(base)
	switch {
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return nil, err
	case err != nil && (c.Exists || len(c.Versions) > 0):
		return nil, ErrChanged
	case err != nil:
		return nil, nil //nolint:nilerr // nothing is there, as it should be
	case c.New:
		return nil, fs.ErrExist
	case len(c.Versions) > 0 && !slices.Contains(c.Versions, Version(info)):
		return nil, ErrChanged
	}
	return info, nil
}
