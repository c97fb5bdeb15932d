package sandbox

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"berth/quotas"
	"berth/quotas/cgroup"
	"berth/sessions"
)

// state is what a later server needs to find a sandbox again. Boot and start time tell its process from another one
// that has got the same PID since.
type state struct {
	ID        sessions.ID   `json:"id"`
	PID       int           `json:"pid"`
	BootID    string        `json:"boot_id"`
	StartTime string        `json:"start_time"` // clock ticks after boot: proc(5), stat, field 22
	Slot      int           `json:"slot"`       // of its network link and its range of user IDs
	Cgroup    *cgroup.Group `json:"cgroup"`
	Limits    quotas.Limits `json:"limits"`
	Programs  string        `json:"programs"` // the directory that it has mounted
}

func (l *Launcher) statePath(id sessions.ID) string { return filepath.Join(l.runDir(id), "state.json") }

// saveState writes the state whole or not at all.
func (l *Launcher) saveState(s state) error {
	b, err := json.Marshal(s)
	if err != nil {
		return err
	}
	temp := l.statePath(s.ID) + ".new"
	if err := os.WriteFile(temp, b, 0o600); err != nil {
		return err
	}
	return os.Rename(temp, l.statePath(s.ID))
}

func (l *Launcher) readState(id sessions.ID) (state, error) {
	var s state
	b, err := os.ReadFile(l.statePath(id))
	if err != nil {
		return s, err
	}
	if err := json.Unmarshal(b, &s); err != nil {
		return s, fmt.Errorf("%s: %w", l.statePath(id), err)
	}
	if s.ID != id || s.PID <= 1 || s.Cgroup == nil {
		return s, fmt.Errorf("%s does not describe sandbox %s", l.statePath(id), id)
	}
	return s, nil
}

// process opens the sandbox's first process, if it still is the one that was launched.
func (s state) process() (*hostProcess, error) {
	p, err := foundProcess(s.PID)
	if err != nil {
		return nil, err
	}
	boot, start, err := identify(s.PID)
	if err == nil && (boot != s.BootID || start != s.StartTime) {
		err = errors.New("its process has ended")
	}
	if err != nil {
		return nil, errors.Join(err, p.release())
	}
	return p, nil
}

// identify returns what tells a process from all others with its PID.
func identify(pid int) (bootID, startTime string, err error) {
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "", "", err
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return "", "", err
	}
	// The second field is a name in parentheses that may hold anything; 22 is the 20th after it.
	_, rest, _ := bytes.Cut(stat, []byte(") "))
	if i := bytes.LastIndex(stat, []byte(") ")); i >= 0 {
		rest = stat[i+2:]
	}
	fields := strings.Fields(string(rest))
	if len(fields) < 20 || fields[0] == "Z" {
		return "", "", errors.New("its process has ended")
	}
	return strings.TrimSpace(string(boot)), fields[19], nil
}

// tail returns the last of a sandbox's log, for an error message.
func tail(path string) string {
	const keep = 2 << 10
	f, err := os.Open(path)
	if err != nil {
		return err.Error()
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil && info.Size() > keep {
		if _, err := f.Seek(-keep, io.SeekEnd); err != nil {
			return err.Error()
		}
	}
	b, err := io.ReadAll(f)
	if err != nil {
		return err.Error()
	}
	if text := strings.TrimSpace(string(b)); text != "" {
		return text
	}
	return "its log is empty"
}
