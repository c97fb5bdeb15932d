package sandbox

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// oomLog learns from the kernel's log which program the kernel ended when a sandbox had no memory left, so that the
// visitor can be told. Without the log (kernel.dmesg_restrict in a container, say) the name is not known, only the fact.
type oomLog struct {
	kmsg *os.File
	done chan struct{}

	mu      sync.Mutex
	victims map[string]string // command name, by sandbox ID
}

// oomLine is the record of Documentation/admin-guide/mm: "oom-kill:constraint=…,task_memcg=PATH,task=NAME,pid=N,uid=N".
var oomLine = regexp.MustCompile(`oom-kill:.*task_memcg=([^,]*),task=(.*),pid=\d+,uid=\d+`)

// recordSize is the most that one read of /dev/kmsg returns (kernel, CONSOLE_EXT_LOG_MAX).
const recordSize = 8 << 10

func watchOOM() *oomLog {
	o := &oomLog{victims: map[string]string{}, done: make(chan struct{})}
	f, err := os.OpenFile("/dev/kmsg", os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err == nil {
		_, err = f.Seek(0, io.SeekEnd)
	}
	if err != nil {
		close(o.done)
		return o
	}
	o.kmsg = f
	go o.read()
	return o
}

func (o *oomLog) read() {
	defer close(o.done)
	record := make([]byte, recordSize)
	for {
		n, err := o.kmsg.Read(record)
		if errors.Is(err, unix.EPIPE) { // overwritten before it was read: go on with what is left
			continue
		}
		if err != nil {
			return
		}
		o.note(string(record[:n]))
	}
}

// note keeps the victim of a record, under every part of its control group's path: one of them is the sandbox.
func (o *oomLog) note(record string) {
	m := oomLine.FindStringSubmatch(record)
	if m == nil {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	for part := range strings.SplitSeq(m[1], "/") {
		if _, ours := o.victims[part]; ours {
			o.victims[part] = m[2]
		}
	}
}

// follow begins to keep victims of a sandbox; forget ends it.
func (o *oomLog) follow(id string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.victims[id] = ""
}

func (o *oomLog) forget(id string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.victims, id)
}

// last returns the last victim in a sandbox; empty when there is none or it is not known.
func (o *oomLog) last(id string) string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.victims[id]
}

func (o *oomLog) close() error {
	if o.kmsg == nil {
		return nil
	}
	err := o.kmsg.Close()
	<-o.done
	return err
}

// unprotect takes from a sandbox what the server may have of protection against the kernel's choice when the host has no
// memory left (OOMScoreAdjust= of its unit), which its children inherit. Written by root the score is also the lowest
// that the sandbox can give itself: proc(5), oom_score_adj. A score above 0 is no protection, and stays.
func unprotect(pid int) error {
	own, err := os.ReadFile("/proc/self/oom_score_adj")
	if err != nil || !bytes.HasPrefix(own, []byte("-")) {
		return err
	}
	err = os.WriteFile(fmt.Sprintf("/proc/%d/oom_score_adj", pid), []byte("0"), 0)
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, unix.ESRCH) {
		return nil // it has ended: waitReady says why
	}
	return err
}
