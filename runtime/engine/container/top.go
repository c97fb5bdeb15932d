package container

import (
	"slices"
	"strings"

	api "github.com/moby/moby/api/types/container"
)

// formats are the ps options that stand for a list of columns; the first is Docker's default.
var formats = map[string]string{
	"-ef": "uidname,pid,ppid,c,stime,TTY,time,cmd", "aux": psAux,
	"-aux": psAux, "auxw": psAux, "auxww": psAux, "au": psAux, "u": psAux, "-e": psE, "-A": psE, "ax": "pid,TTY,stat,time,args",
}

const (
	psAux = "user,pid,pcpu,pmem,vsz,rss,TTY,stat,stime,time,args"
	psE   = "pid,TTY,time,ucmd"
)

// Top lists the processes of a container as ps(1) would with arguments args: "-ef" where there are none. What is understood are
// the usual options and -o with a list of columns.
func (m *Manager) Top(ref, args string) (api.TopResponse, error) {
	c, err := m.Get(ref)
	if err != nil {
		return api.TopResponse{}, err
	}
	c.mu.Lock()
	r, restarting := c.run, c.rec.State.Restarting
	c.mu.Unlock()
	switch {
	case restarting:
		return api.TopResponse{}, conflict("container %s is restarting, wait until the container is running", c.id)
	case r == nil:
		return api.TopResponse{}, notRunning(c)
	}
	names, err := parsePS(args)
	if err != nil {
		return api.TopResponse{}, err
	}
	pids, err := m.o.Runtime.Cgroups.Processes(r.group)
	if err != nil {
		return api.TopResponse{}, err
	}
	slices.Sort(pids)
	out := api.TopResponse{Processes: [][]string{}}
	for _, n := range names {
		out.Titles = append(out.Titles, columns[n].title)
	}
	view := newTopView(c.rootfs())
	for _, pid := range pids {
		p, err := readProcess(pid)
		if err != nil {
			continue // it has ended meanwhile
		}
		line := make([]string, len(names))
		for i, n := range names {
			line[i] = columns[n].value(p, view)
		}
		out.Processes = append(out.Processes, line)
	}
	return out, nil
}

// parsePS reads the options of ps(1) that say which columns are shown.
func parsePS(args string) ([]string, error) {
	words := strings.Fields(args)
	format := formats["-ef"]
	var asked []string
	for i := 0; i < len(words); i++ {
		w := words[i]
		if f, known := formats[w]; known {
			format = f
			continue
		}
		list, isList := columnList(w)
		if !isList {
			return nil, invalid("ps: the option %q is not supported in this playground: -ef, aux and -o are", w)
		}
		if list == "" && i+1 < len(words) {
			i++
			list = words[i]
		}
		asked = append(asked, strings.Split(list, ",")...)
	}
	if len(asked) == 0 {
		asked = strings.Split(format, ",")
	}
	for i, n := range asked {
		n, _, _ = strings.Cut(n, "=") // a title of one's own is not
		if a, ok := aliases[n]; ok {
			n = a
		}
		if _, ok := columns[n]; !ok {
			return nil, invalid("ps: unknown user-defined format specifier %q", n)
		}
		asked[i] = n
	}
	return asked, nil
}

// columnList is what stands after -o, in the same word or, "", the next one.
func columnList(w string) (list string, ok bool) {
	for _, option := range []string{"-eo", "-ao", "-Ao", "-o", "o", "--format="} {
		if list, ok := strings.CutPrefix(w, option); ok {
			return list, true
		}
	}
	return "", false
}
