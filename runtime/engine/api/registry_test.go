package api_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/containerd/errdefs"

	"berth/runtime/engine/image"
)

// registry answers with one thing or one error.
type registry struct{ err error }

func (r registry) Tags(_ context.Context, repository string) ([]string, error) {
	return []string{repository + "-tag"}, r.err
}

func (r registry) RemoteImage(context.Context, string) (image.RemoteImage, error) {
	return image.RemoteImage{Variants: []image.RemoteVariant{{Size: 7, Missing: 3, Layers: 2}}}, r.err
}

func TestRegistry(t *testing.T) {
	s := serve(t)
	s.api.Registry = registry{}
	s.Config.Handler = s.api.Handler()
	if got := s.want(t, "GET", "/v1/registry/tags?repository=a", "", http.StatusOK); got != `{"tags":["a-tag"]}`+"\n" {
		t.Errorf("tags: %s", got)
	}
	if got := s.want(t, "GET", "/v1/registry/image?reference=a:b", "", http.StatusOK); !strings.Contains(got, `"size":7,"missing":3,"layers":2`) {
		t.Errorf("image: %s", got)
	}
	s.want(t, "GET", "/v1/registry/tags", "", http.StatusBadRequest)
	s.want(t, "GET", "/v1/registry/image", "", http.StatusBadRequest)
	for status, err := range map[int]error{
		http.StatusBadRequest: errdefs.ErrInvalidArgument, http.StatusNotFound: errdefs.ErrNotFound,
		http.StatusForbidden: errdefs.ErrPermissionDenied, http.StatusBadGateway: errors.New("no route to host"),
	} {
		s.api.Registry = registry{err}
		s.Config.Handler = s.api.Handler()
		s.want(t, "GET", "/v1/registry/tags?repository=a", "", status)
		s.want(t, "GET", "/v1/registry/image?reference=a", "", status)
	}
}
