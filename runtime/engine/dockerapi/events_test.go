package dockerapi_test

import (
	"bufio"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
	"time"

	api "github.com/moby/moby/api/types/events"

	"berth/runtime/engine/dockerapi"
	"berth/runtime/engine/events"
)

func TestEventsAreFilteredAndFollowed(t *testing.T) {
	bus := &events.Bus{}
	server := httptest.NewServer(dockerapi.New(slog.New(slog.DiscardHandler), dockerapi.Events{Bus: bus}))
	defer server.Close()
	bus.Publish(api.ContainerEventType, api.ActionCreate, "c1", map[string]string{"name": "web", "a": "1"})
	bus.Publish(api.ImageEventType, api.ActionPull, "busybox", nil)
	query := url.Values{"since": {"1"}, "filters": {`{"container":["web"],"label":["a=1"]}`}}
	res, err := http.Get(server.URL + "/v1.51/events?" + query.Encode())
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	lines := bufio.NewScanner(res.Body)
	next := func() api.Message {
		t.Helper()
		var m api.Message
		if !lines.Scan() || json.Unmarshal(lines.Bytes(), &m) != nil {
			t.Fatalf("no event: %q %v", lines.Text(), lines.Err())
		}
		return m
	}
	if m := next(); m.Action != api.ActionCreate || m.Actor.ID != "c1" || m.TimeNano == 0 {
		t.Errorf("past event: %+v", m)
	}
	bus.Publish(api.ContainerEventType, api.ActionStart, "c2", map[string]string{"name": "other", "a": "1"})
	bus.Publish(api.ContainerEventType, api.ActionDie, "c1", map[string]string{"name": "web", "a": "1"})
	if m := next(); m.Action != api.ActionDie {
		t.Errorf("event that came: %+v", m)
	}
}

func TestEventsUntilThePastEnd(t *testing.T) {
	bus := &events.Bus{}
	bus.Publish(api.ContainerEventType, api.ActionCreate, "c1", nil)
	status, body, _ := ask(t, http.MethodGet, "/events?since=1&until="+url.QueryEscape(time.Now().Add(-time.Hour).Format(time.RFC3339Nano)), "", dockerapi.Events{Bus: bus})
	if status != 200 || body != "" {
		t.Errorf("%d %q", status, body)
	}
	status, _, _ = ask(t, http.MethodGet, "/events?since=yesterday", "", dockerapi.Events{Bus: bus})
	if status != 400 {
		t.Errorf("a time that is none: %d", status)
	}
}
