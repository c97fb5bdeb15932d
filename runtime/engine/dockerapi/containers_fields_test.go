package dockerapi_test

import (
	"reflect"
	"strings"
	"testing"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/mount"

	"berth/runtime/engine/dockerapi"
)

// TestFieldsAreClassified: every field of a request is supported, taken without effect for a reason, or refused by name.
func TestFieldsAreClassified(t *testing.T) {
	for _, test := range []struct {
		fields interface {
			Missing(t reflect.Type) (missing, surplus []string)
		}
		of reflect.Type
	}{
		{dockerapi.CreateFields, reflect.TypeFor[container.CreateRequest]()},
		{dockerapi.UpdateFields, reflect.TypeFor[container.UpdateConfig]()},
		{dockerapi.CommitFields, reflect.TypeFor[container.Config]()},
		{dockerapi.ExecFields, reflect.TypeFor[container.ExecCreateRequest]()},
		{dockerapi.ExecStartFields, reflect.TypeFor[container.ExecStartRequest]()},
	} {
		missing, surplus := test.fields.Missing(test.of)
		if len(missing)+len(surplus) > 0 {
			t.Errorf("%v: nobody has said what becomes of %q; there are no %q", test.of, missing, surplus)
		}
	}
}

func TestRefusedByName(t *testing.T) {
	for name, request := range map[string]container.CreateRequest{
		"HostConfig.StorageOpt":                  {HostConfig: &container.HostConfig{StorageOpt: map[string]string{"size": "1G"}}},
		"HostConfig.CpuRealtimePeriod":           {HostConfig: &container.HostConfig{Resources: container.Resources{CPURealtimePeriod: 1}}},
		"HostConfig.Mounts.ImageOptions":         {HostConfig: &container.HostConfig{Mounts: []mount.Mount{{ImageOptions: &mount.ImageOptions{}}}}},
		"HostConfig.Mounts.ImageOptions.Subpath": {HostConfig: &container.HostConfig{Mounts: []mount.Mount{{ImageOptions: &mount.ImageOptions{Subpath: "x"}}}}},
	} {
		err := dockerapi.CreateFields.Refuse(request)
		if err == nil || !strings.Contains(err.Error(), strings.TrimSuffix(name, ".Subpath")) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := dockerapi.CreateFields.Refuse(container.CreateRequest{Config: &container.Config{Image: "x"}, HostConfig: &container.HostConfig{}}); err != nil {
		t.Error(err)
	}
}
