package container

import (
	"path"
	"slices"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"berth/runtime/engine/boot"
	"berth/runtime/engine/oci"
)

// group is the container's control group: below the payload's, whatever --cgroup-parent says.
func (m *Manager) group(c *Container) string {
	parent := path.Clean("/" + c.host.CgroupParent)
	if parent == "/" {
		return boot.Payload + "/" + c.id
	}
	return boot.Payload + parent + "/" + c.id
}

// describe gathers what the container's specification is made of.
func (m *Manager) describe(c *Container, netns string, etc map[string]string) (spec oci.Container, err error) {
	h, conf := c.host, c.rec.Config
	spec = oci.Container{
		Config: conf, Host: h, Rootfs: c.rootfs(), Hostname: conf.Hostname, Cgroup: m.group(c), ShmSize: h.ShmSize,
		Args: append([]string{c.rec.Path}, c.rec.Args...), Env: environment(conf, conf.Hostname),
		Resources: m.o.Runtime.Cgroups.Resources(h.Resources), Init: h.Init != nil && *h.Init,
	}
	if spec.User, _, err = lookupUser(c.rootfs(), conf.User, h.GroupAdd); err != nil {
		return spec, err
	}
	if spec.Join, err = m.namespaces(c, netns); err != nil {
		return spec, err
	}
	if spec.Join[specs.UTSNamespace] != "" {
		spec.Hostname = ""
	}
	if spec.Mounts, err = m.specMounts(c, etc); err != nil {
		return spec, err
	}
	shm, err := m.sharedMemory(c)
	if err != nil {
		return spec, err
	}
	if shm != "" && !slices.ContainsFunc(spec.Mounts, func(s specs.Mount) bool { return s.Destination == shmPath }) {
		spec.Mounts = append(spec.Mounts, oci.BindMount(shm, shmPath, "nosuid", "noexec", "nodev"))
	}
	return spec, nil
}
