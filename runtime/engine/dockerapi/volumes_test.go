package dockerapi_test

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	volumetypes "github.com/moby/moby/api/types/volume"
	"github.com/moby/moby/client"

	"berth/runtime/engine/dockerapi"
	"berth/runtime/engine/events"
	"berth/runtime/engine/volume"
)

// partClient serves parts of the API and returns Docker's own client to them, and their address.
func partClient(t *testing.T, parts ...dockerapi.Part) (*client.Client, string) {
	t.Helper()
	server := httptest.NewServer(dockerapi.New(slog.New(slog.DiscardHandler), parts...))
	t.Cleanup(server.Close)
	c, err := client.New(client.WithHost("tcp://"+server.Listener.Addr().String()), client.WithAPIVersion(dockerapi.Version))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c, server.URL
}

// How a field of a request is treated.
const (
	fieldSupported = "supported"
	fieldRefused   = "refused" // with a value it is refused by name
	fieldAccepted  = "accepted without effect: "
)

// checkFields wants every field of a request's type in a table, so that one that comes with a new version is decided upon.
func checkFields[T any](t *testing.T, table map[string]string) {
	t.Helper()
	typ := reflect.TypeFor[T]()
	for _, f := range reflect.VisibleFields(typ) {
		how, ok := table[f.Name]
		if !ok || how != fieldSupported && how != fieldRefused && !strings.HasPrefix(how, fieldAccepted) {
			t.Errorf("%s.%s: %q", typ, f.Name, how)
		}
		delete(table, f.Name)
	}
	for name := range table {
		t.Errorf("%s has no field %s", typ, name)
	}
}

func TestVolumeFields(t *testing.T) {
	checkFields[volumetypes.CreateRequest](t, map[string]string{
		"Name": fieldSupported, "Driver": fieldSupported, "DriverOpts": fieldSupported, "Labels": fieldSupported,
		"ClusterVolumeSpec": fieldRefused,
	})
}

func TestVolumes(t *testing.T) {
	store, err := volume.Open(t.TempDir(), &events.Bus{}, volume.Options{})
	if err != nil {
		t.Fatal(err)
	}
	c, url := partClient(t, dockerapi.Volumes{Store: store})
	ctx := t.Context()
	made, err := c.VolumeCreate(ctx, client.VolumeCreateOptions{Name: "data", Labels: map[string]string{"a": "b"}})
	if err != nil || made.Volume.Name != "data" {
		t.Fatal(made, err)
	}
	found, err := c.VolumeInspect(ctx, "data", client.VolumeInspectOptions{})
	if err != nil || found.Volume.Labels["a"] != "b" {
		t.Error(found, err)
	}
	list, err := c.VolumeList(ctx, client.VolumeListOptions{Filters: client.Filters{}.Add("label", "a=b")})
	if err != nil || len(list.Items) != 1 {
		t.Error(list, err)
	}
	if _, err := c.VolumeInspect(ctx, "none", client.VolumeInspectOptions{}); !errdefs.IsNotFound(err) {
		t.Error(err)
	}
	if _, err := store.Use("data", "c1"); err != nil {
		t.Fatal(err)
	}
	if _, err := c.VolumeRemove(ctx, "data", client.VolumeRemoveOptions{Force: true}); !errdefs.IsConflict(err) {
		t.Error(err)
	}
	if err := store.Release("c1"); err != nil {
		t.Error(err)
	}
	pruned, err := c.VolumePrune(ctx, client.VolumePruneOptions{})
	if err != nil || len(pruned.Report.VolumesDeleted) != 0 {
		t.Error(pruned, err)
	}
	if _, err := c.VolumeRemove(ctx, "data", client.VolumeRemoveOptions{}); err != nil {
		t.Error(err)
	}
	for body, want := range map[string]int{
		`{"Name":"x y"}`: 400, `{"Name":"data","ClusterVolumeSpec":{"Group":"g"}}`: 400, `{"Name":"data","Foo":1}`: 400,
		`{"Name":"data","Driver":"nfs"}`: 404, `{"Name":"data"}`: 201,
	} {
		if got := post(t, url+"/v1.41/volumes/create", body); got != want {
			t.Errorf("%s: %d, want %d", body, got, want)
		}
	}
	if got := post(t, url+"/v1.41/volumes/prune", ""); got != http.StatusOK { // before 1.42 also what has a name
		t.Error(got)
	}
	if _, err := store.Get("data"); !errdefs.IsNotFound(err) {
		t.Errorf("a prune of API 1.41 left a named volume: %v", err)
	}
}

func post(t *testing.T, url, body string) int {
	t.Helper()
	r, err := http.Post(url, "application/json", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	return r.StatusCode
}
