package dockerapi

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/moby/moby/api/types/registry"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"berth/runtime/engine/filter"
)

// Bounds of `docker search --limit`.
const (
	defaultSearchLimit = 25
	maxSearchLimit     = 100
)

// registryAuth reads the credentials that a client sends along: base64 of JSON. None are nil.
func registryAuth(r *http.Request) (authn.Authenticator, error) {
	header := r.Header.Get("X-Registry-Auth")
	if header == "" {
		return nil, nil //nolint:nilnil // anonymous
	}
	body, err := base64.URLEncoding.DecodeString(header)
	if err != nil {
		body, err = base64.RawURLEncoding.DecodeString(strings.TrimRight(header, "="))
	}
	var c registry.AuthConfig
	if err == nil && len(body) > 0 {
		err = json.Unmarshal(body, &c)
	}
	if err != nil {
		return nil, Invalid("invalid X-Registry-Auth header: %s", plain(err))
	}
	return authenticator(c), nil
}

func authenticator(c registry.AuthConfig) authn.Authenticator {
	if c.Username == "" && c.IdentityToken == "" && c.RegistryToken == "" && c.Auth == "" {
		return nil
	}
	return authn.FromConfig(authn.AuthConfig{
		Username: c.Username, Password: c.Password, Auth: c.Auth, IdentityToken: c.IdentityToken, RegistryToken: c.RegistryToken,
	})
}

func (i Images) login(w http.ResponseWriter, r *http.Request) error {
	var c registry.AuthConfig
	if err := Decode(w, r, &c); err != nil {
		return err
	}
	auth := authenticator(c)
	if auth == nil {
		auth = authn.Anonymous
	}
	if err := i.Store.Login(r.Context(), c.ServerAddress, auth); err != nil {
		return err
	}
	return JSON(w, http.StatusOK, registry.AuthResponse{Status: "Login Succeeded"})
}

func (i Images) distribution(w http.ResponseWriter, r *http.Request) error {
	name, err := imageName(r)
	if err != nil {
		return err
	}
	auth, err := registryAuth(r)
	if err != nil {
		return err
	}
	found, err := i.Store.InspectRemote(r.Context(), name, auth, false)
	if err != nil {
		return err
	}
	answer := registry.DistributionInspect{Descriptor: found.Descriptor, Platforms: []ocispec.Platform{}}
	for _, v := range found.Variants {
		answer.Platforms = append(answer.Platforms, v.Platform)
	}
	return JSON(w, http.StatusOK, answer)
}

func (i Images) search(w http.ResponseWriter, r *http.Request) error {
	f, err := filter.Parse(r.FormValue("filters"))
	if err == nil {
		err = f.Only("is-automated", "is-official", "stars")
	}
	if err != nil {
		return err
	}
	limit := defaultSearchLimit
	if l := r.FormValue("limit"); l != "" {
		if limit, err = strconv.Atoi(l); err != nil || limit < 0 || limit > maxSearchLimit {
			return Invalid("limit %s is outside the range of [1, %d]", l, maxSearchLimit)
		}
		if limit == 0 {
			limit = defaultSearchLimit
		}
	}
	keep, err := searchConditions(f)
	if err != nil {
		return err
	}
	auth, err := registryAuth(r)
	if err != nil {
		return err
	}
	found, err := i.Store.Search(r.Context(), r.FormValue("term"), limit, auth)
	if err != nil {
		return err
	}
	found = slices.DeleteFunc(found, func(s registry.SearchResult) bool { return !keep(s) })
	if found == nil {
		found = []registry.SearchResult{}
	}
	return JSON(w, http.StatusOK, found)
}

func searchConditions(f filter.Args) (func(registry.SearchResult) bool, error) {
	official, err := f.Bool("is-official", false)
	if err != nil {
		return nil, err
	}
	automated, err := f.Bool("is-automated", false)
	if err != nil {
		return nil, err
	}
	stars := 0
	for _, v := range f.Values("stars") {
		n, err := strconv.Atoi(v)
		if err != nil {
			return nil, Invalid("invalid filter 'stars=%s'", v)
		}
		stars = max(stars, n)
	}
	return func(s registry.SearchResult) bool {
		return (!f.Has("is-official") || s.IsOfficial == official) && s.StarCount >= stars &&
			(!f.Has("is-automated") || !automated) // no registry says of any that it is
	}, nil
}
