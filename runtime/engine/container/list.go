package container

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	api "github.com/moby/moby/api/types/container"
	apinet "github.com/moby/moby/api/types/network"
)

// DiskUsage are all containers with the sizes of their files.
func (m *Manager) DiskUsage(ctx context.Context) ([]api.Summary, error) {
	return m.List(ctx, ListOptions{All: true, Size: true})
}

// List returns the containers that the options select, the newest first.
func (m *Manager) List(ctx context.Context, o ListOptions) ([]api.Summary, error) {
	s, err := m.selection(ctx, o)
	if err != nil {
		return nil, err
	}
	out := []api.Summary{}
	now := time.Now()
	images := map[string]string{}
	for _, c := range m.newest() {
		take, over := s.takes(c, len(out))
		if over {
			break
		}
		if !take {
			continue
		}
		sum := c.summary(now)
		sum.Image = m.imageName(ctx, sum.Image, sum.ImageID, images)
		if o.Size {
			if sum.SizeRw, sum.SizeRootFs, err = m.o.Images.RootUsage(ctx, c.id); err != nil {
				if errdefs.IsNotFound(err) {
					continue // removed meanwhile
				}
				return nil, err
			}
		}
		out = append(out, sum)
	}
	return out, nil
}

// newest are all containers, the newest first.
func (m *Manager) newest() []*Container {
	list := m.all()
	slices.SortFunc(list, func(a, b *Container) int { return b.rec.Created.Compare(a.rec.Created) }) // never changed
	return list
}

// imageName is the name that a container was made by while it still means that image, and else the image's ID. known saves
// asking twice.
func (m *Manager) imageName(ctx context.Context, name, id string, known map[string]string) string {
	if name == id {
		return name
	}
	now, ok := known[name]
	if !ok {
		if image, err := m.o.Images.Get(ctx, name); err == nil {
			now = image.ID
		}
		known[name] = now
	}
	if now == id {
		return name
	}
	return id
}

// summary is a container's line in a list.
func (c *Container) summary(now time.Time) api.Summary {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := api.Summary{
		ID: c.id, Names: []string{"/" + c.rec.Name}, Image: c.rec.Config.Image, ImageID: c.rec.ImageID, Command: c.commandLine(),
		Created: c.rec.Created.Unix(), Ports: c.portSummaries(), Labels: c.rec.Config.Labels, State: c.rec.State.status(),
		Status: c.rec.State.words(now), NetworkSettings: &api.NetworkSettingsSummary{Networks: c.endpoints()},
		Mounts: make([]api.MountPoint, 0, len(c.rec.Mounts)),
	}
	if s.Labels == nil {
		s.Labels = map[string]string{}
	}
	s.HostConfig.NetworkMode, s.HostConfig.Annotations = string(c.host.NetworkMode), c.host.Annotations
	if h := c.rec.State.Health; h != nil && c.rec.State.Running {
		s.Health = &api.HealthSummary{Status: h.Status, FailingStreak: h.FailingStreak}
	}
	for _, p := range c.rec.Mounts {
		s.Mounts = append(s.Mounts, p.api())
	}
	return s
}

// commandLine is the command with its arguments, those with blanks in quotes. c.mu is held.
func (c *Container) commandLine() string {
	if len(c.rec.Args) == 0 {
		return c.rec.Path
	}
	args := make([]string, len(c.rec.Args))
	for i, a := range c.rec.Args {
		args[i] = a
		if strings.Contains(a, " ") {
			args[i] = "'" + a + "'"
		}
	}
	return c.rec.Path + " " + strings.Join(args, " ")
}

// endpoints are copies. c.mu is held.
func (c *Container) endpoints() map[string]*apinet.EndpointSettings {
	out := make(map[string]*apinet.EndpointSettings, len(c.rec.Endpoints))
	for name, e := range c.rec.Endpoints {
		out[name] = e.Copy()
	}
	return out
}

// portSummaries are the ports as they are bound, by number. c.mu is held.
func (c *Container) portSummaries() []api.PortSummary {
	out := []api.PortSummary{}
	for port, bindings := range c.rec.Ports {
		if len(bindings) == 0 {
			out = append(out, api.PortSummary{PrivatePort: port.Num(), Type: string(port.Proto())})
		}
		for _, b := range bindings {
			p := api.PortSummary{IP: b.HostIP, PrivatePort: port.Num(), Type: string(port.Proto())}
			if r, err := apinet.ParsePortRange(b.HostPort); err == nil {
				p.PublicPort = r.Start()
			}
			out = append(out, p)
		}
	}
	slices.SortFunc(out, func(a, b api.PortSummary) int {
		if a.PrivatePort != b.PrivatePort {
			return int(a.PrivatePort) - int(b.PrivatePort)
		}
		if a.Type != b.Type {
			return strings.Compare(a.Type, b.Type)
		}
		return a.IP.Compare(b.IP)
	})
	return out
}

// portMap is a copy of the ports as they are bound. c.mu is held.
func (c *Container) portMap() apinet.PortMap {
	out := apinet.PortMap{}
	maps.Copy(out, c.rec.Ports)
	return out
}

// User is a container as its image knows it.
type User struct {
	ID, Ref string // Ref: the name of the image that it was made with
	Running bool
}

// MadeOf returns the containers that were made of an image.
func (m *Manager) MadeOf(imageID string) []User {
	var users []User
	for _, c := range m.all() {
		c.mu.Lock()
		if c.rec.ImageID == imageID {
			users = append(users, User{ID: c.id, Ref: c.rec.Config.Image, Running: c.rec.State.Running})
		}
		c.mu.Unlock()
	}
	return users
}
