package layers

import (
	"bufio"
	"io"
	"strconv"
	"strings"
)

const maxAccounts = 1 << 20 // bytes that are read of /etc/passwd and /etc/group

// owners are the names that an image has for users and groups.
type owners struct{ users, groups map[uint32]string }

// readOwners reads them as of the highest layer. An image may have none.
func (s *Stack) readOwners(dirs []string) owners {
	return owners{s.accounts(dirs, "/etc/passwd"), s.accounts(dirs, "/etc/group")}
}

func (s *Stack) accounts(dirs []string, name string) map[uint32]string {
	ids := map[uint32]string{}
	if len(dirs) == 0 {
		return ids
	}
	v, full, err := s.resolve(name, len(dirs)-1)
	if err != nil || s.entry(v).kind != File {
		return ids
	}
	f, err := openFile(dirs[v.layer], full)
	if err != nil {
		return ids
	}
	defer f.Close()
	lines := bufio.NewScanner(io.LimitReader(f, maxAccounts))
	for lines.Scan() { // passwd(5), group(5): name:password:id:…
		parts := strings.Split(lines.Text(), ":")
		if len(parts) < 3 || parts[0] == "" || len(parts[0]) > 64 {
			continue
		}
		if id, err := strconv.ParseUint(parts[2], 10, 32); err == nil {
			if _, had := ids[uint32(id)]; !had {
				ids[uint32(id)] = parts[0]
			}
		}
	}
	return ids
}
