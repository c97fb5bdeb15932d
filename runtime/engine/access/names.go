package access

import (
	"bufio"
	"errors"
	"io"
	"strconv"
	"strings"
)

// Limits of a container's /etc/passwd and /etc/group, which may be anything: more than the largest distributions have.
const (
	maxNames     = 1 << 20 // bytes
	maxNameLine  = 64 << 10
	maxNameShown = 64 // bytes of one name
)

// Names reads what passwd(5) and group(5) have in common, name:password:ID, and returns the first name of each ID. Lines
// that are none are left out, and so is what is too long.
func Names(r io.Reader) map[uint32]string {
	names := map[uint32]string{}
	b := bufio.NewReaderSize(io.LimitReader(r, maxNames), maxNameLine)
	for {
		line, err := b.ReadSlice('\n')
		if err == nil || errors.Is(err, io.EOF) { // else it is longer than the buffer: its pieces are no lines
			addName(names, strings.TrimSpace(string(line)))
		}
		for errors.Is(err, bufio.ErrBufferFull) {
			_, err = b.ReadSlice('\n')
		}
		if err != nil {
			return names
		}
	}
}

func addName(names map[uint32]string, line string) {
	f := strings.SplitN(line, ":", 4)
	if len(f) < 3 || f[0] == "" || len(f[0]) > maxNameShown || strings.ContainsFunc(f[0], odd) {
		return
	}
	id, err := strconv.ParseUint(f[2], 10, 32)
	if err != nil {
		return
	}
	if _, taken := names[uint32(id)]; !taken {
		names[uint32(id)] = f[0]
	}
}

// odd is what no name of a user has: useradd(8) is stricter.
func odd(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune(`"'\/<>&#`, r) }
