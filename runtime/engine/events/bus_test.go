package events_test

import (
	"testing"
	"time"

	api "github.com/moby/moby/api/types/events"

	"berth/runtime/engine/events"
)

func TestListenersGetAllInOneOrder(t *testing.T) {
	var bus events.Bus
	_, a := bus.Listen(time.Time{})
	_, b := bus.Listen(time.Time{})
	defer a.Close()
	defer b.Close()
	for _, id := range []string{"1", "2", "3"} {
		bus.Publish(api.ContainerEventType, api.ActionStart, id, nil)
	}
	for _, want := range []string{"1", "2", "3"} {
		for _, l := range []*events.Listener{a, b} {
			if m, ok := l.Next(t.Context()); !ok || m.Actor.ID != want {
				t.Errorf("got %v %v, want %s", m.Actor.ID, ok, want)
			}
		}
	}
}

func TestPastEventsAreBounded(t *testing.T) {
	var bus events.Bus
	for range 1000 {
		bus.Publish(api.ImageEventType, api.ActionPull, "x", nil)
	}
	past, l := bus.Listen(time.Unix(1, 0))
	defer l.Close()
	if len(past) != 256 {
		t.Errorf("%d past events", len(past))
	}
}

func TestListenerThatDoesNotReadIsDropped(t *testing.T) {
	var bus events.Bus
	_, slow := bus.Listen(time.Time{})
	defer slow.Close()
	for range 5000 {
		bus.Publish(api.ImageEventType, api.ActionPull, "x", nil)
	}
	n := 0
	for range slow.C {
		n++
	}
	if n == 0 || n >= 5000 {
		t.Errorf("it got %d events", n)
	}
}
