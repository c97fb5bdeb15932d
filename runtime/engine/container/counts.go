package container

import (
	"context"

	api "github.com/moby/moby/api/types/container"

	"berth/runtime/engine/image"
)

// UsersOf are the containers that were made of an image. It is image.Options.InUse.
func (m *Manager) UsersOf(imageID string) []image.User {
	var users []image.User
	for _, c := range m.all() {
		c.mu.Lock()
		if c.rec.ImageID == imageID {
			users = append(users, image.User{ID: c.id, Ref: c.rec.Config.Image, Running: c.rec.State.Running})
		}
		c.mu.Unlock()
	}
	return users
}

// Counts are how many containers run, are paused, and do not run.
func (m *Manager) Counts() (running, paused, stopped int) {
	for _, c := range m.all() {
		c.mu.Lock()
		switch c.rec.State.status() {
		case api.StatePaused:
			paused++
		case api.StateRunning:
			running++
		default:
			stopped++
		}
		c.mu.Unlock()
	}
	return running, paused, stopped
}

// DiskUsage are all containers with the sizes of their files.
func (m *Manager) DiskUsage(ctx context.Context) ([]api.Summary, error) {
	return m.List(ctx, ListOptions{All: true, Size: true})
}
