package oci

import (
	"unique"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"berth/runtime/engine/process"
)

// member is what has to be known of a running container by those who join it.
type member struct {
	init  *process.Process
	group string

	filter      unique.Handle[string] // struct sock_filter's: most containers have the same
	filterFlags uint32
}

// newMember is made before the container is started: what cannot be joined is not started.
func newMember(spec *specs.Spec) (*member, error) {
	m := &member{group: spec.Linux.CgroupsPath, filter: unique.Make("")}
	if p := spec.Linux.Seccomp; p != nil {
		program, err := compileFilter(p)
		if err != nil {
			return nil, err
		}
		if m.filterFlags, err = filterFlags(p); err != nil {
			return nil, err
		}
		m.filter = unique.Make(string(program))
	}
	return m, nil
}

// remember notes a container that has been started.
func (r *Runtime) remember(id string, m *member, init *process.Process) {
	m.init = init
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.members == nil {
		r.members = map[string]*member{}
	}
	r.members[id] = m
}

func (r *Runtime) member(id string) *member {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.members[id]
}

func (r *Runtime) forget(id string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.members, id)
}
