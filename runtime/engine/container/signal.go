package container

import (
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Real-time signals as C libraries number them: signal(7).
const (
	sigRTMin = 34
	sigRTMax = 64
)

// parseSignal reads a signal's number or name, with or without SIG.
func parseSignal(s string) (unix.Signal, error) {
	if n, err := strconv.Atoi(s); err == nil {
		if n <= 0 || n > sigRTMax {
			return 0, invalid("invalid signal: %s", s)
		}
		return unix.Signal(n), nil
	}
	name := strings.TrimPrefix(strings.ToUpper(s), "SIG")
	if n := unix.SignalNum("SIG" + name); n != 0 {
		return n, nil
	}
	for _, rt := range []struct {
		name string
		from int
	}{{"RTMIN", sigRTMin}, {"RTMAX", sigRTMax}} {
		rest, ok := strings.CutPrefix(name, rt.name)
		if !ok {
			continue
		}
		n := 0
		if rest != "" {
			var err error
			if n, err = strconv.Atoi(rest); err != nil { // "+3", "-2"
				break
			}
		}
		if n += rt.from; n >= sigRTMin && n <= sigRTMax {
			return unix.Signal(n), nil
		}
	}
	return 0, invalid("invalid signal: %s", s)
}
