package files

import (
	"errors"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// paxAttribute begins the names of extended attributes in tar streams: star(1), and all others since.
const paxAttribute = "SCHILY.xattr."

// maxAttributes bounds the list of one file's attributes, in bytes: xattr(7), XATTR_LIST_MAX.
const maxAttributes = 64 << 10

// kept reports whether an attribute is of the file, not of this system.
func kept(attribute string) bool {
	return attribute == "security.capability" || strings.HasPrefix(attribute, "user.")
}

// attributes returns the attributes of an open file that archives keep, as PAX records. File systems may have none.
func attributes(f *os.File) (map[string]string, error) {
	fd := int(f.Fd())
	n, err := unix.Flistxattr(fd, nil)
	if err != nil || n == 0 {
		return nil, ignoreMissing(err)
	}
	list := make([]byte, maxAttributes) // it may have grown
	if n, err = unix.Flistxattr(fd, list); err != nil {
		return nil, ignoreMissing(err)
	}
	var records map[string]string
	for name := range strings.SplitSeq(strings.TrimSuffix(string(list[:n]), "\x00"), "\x00") {
		if !kept(name) {
			continue
		}
		value := make([]byte, maxAttributes)
		n, err := unix.Fgetxattr(fd, name, value)
		if errors.Is(err, unix.ENODATA) {
			continue // removed meanwhile
		}
		if err != nil {
			return nil, ignoreMissing(err)
		}
		if records == nil {
			records = map[string]string{}
		}
		records[paxAttribute+name] = string(value[:n])
	}
	return records, nil
}

// setAttributes gives an open file what an archive has kept. What this file system or user cannot have is left out, as
// tar(1) does.
func setAttributes(f *os.File, records map[string]string) error {
	for key, value := range records {
		name, ok := strings.CutPrefix(key, paxAttribute)
		if !ok || !kept(name) {
			continue
		}
		err := unix.Fsetxattr(int(f.Fd()), name, []byte(value), 0)
		if errors.Is(err, unix.EPERM) {
			continue
		}
		if err := ignoreMissing(err); err != nil {
			return &os.PathError{Op: "set attribute " + name, Path: f.Name(), Err: err}
		}
	}
	return nil
}

func ignoreMissing(err error) error {
	if errors.Is(err, unix.ENOTSUP) || errors.Is(err, unix.ENOSYS) {
		return nil
	}
	return err
}
