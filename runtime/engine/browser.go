package engine

import (
	"context"
	"os"

	"berth/runtime/engine/browse"
)

// browser is the Docker host for those who look into it; like everything of it, it starts with the first question.
type browser struct{ host *host }

func (b browser) rooms() (browse.Rooms, error) {
	rooms, err := b.host.open()
	if err != nil {
		return browse.Rooms{}, err
	}
	return browse.Rooms{Volumes: rooms.volumes, Containers: rooms.containers}, nil
}

// List is of api.Browser, and so are the others.
func (b browser) List(ctx context.Context) ([]browse.Volume, error) {
	rooms, err := b.rooms()
	if err != nil {
		return nil, err
	}
	return rooms.List(ctx)
}

func (b browser) Open(name string) (*os.File, error) {
	rooms, err := b.rooms()
	if err != nil {
		return nil, err
	}
	return rooms.Open(name)
}

func (b browser) View(ctx context.Context, name, ref string) (*browse.View, error) {
	rooms, err := b.rooms()
	if err != nil {
		return nil, err
	}
	return rooms.View(ctx, name, ref)
}

func (b browser) Changes(ctx context.Context, ref, filter string, limit int) (browse.Changes, error) {
	rooms, err := b.rooms()
	if err != nil {
		return browse.Changes{}, err
	}
	return rooms.Changes(ctx, ref, filter, limit)
}
