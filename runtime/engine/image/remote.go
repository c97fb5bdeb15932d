package image

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/errdefs"
	"github.com/distribution/reference"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"github.com/moby/moby/api/types/registry"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Login checks credentials at a registry, "" being Docker Hub.
func (s *Store) Login(ctx context.Context, server string, auth authn.Authenticator) error {
	host := server
	if u, err := url.Parse(server); err == nil && u.Host != "" {
		host = u.Host // "https://index.docker.io/v1/"
	}
	if host == "" || host == "docker.io" {
		host = name.DefaultRegistry
	}
	reg, err := name.NewRegistry(host)
	if err != nil {
		return invalid("invalid registry: %s", err)
	}
	base, err := s.transportTo(reg.RegistryStr())
	if err != nil {
		return err
	}
	t, err := transport.NewWithContext(ctx, reg, auth, plainGuard{base, insecure(reg.RegistryStr())}, nil)
	if err == nil {
		err = greet(ctx, reg, t)
	}
	var answer *transport.Error
	if errors.As(err, &answer) && (answer.StatusCode == http.StatusUnauthorized || answer.StatusCode == http.StatusForbidden) {
		return &classified{class: errdefs.ErrUnauthenticated, cause: err, message: fmt.Sprintf(
			"Get %q: unauthorized: incorrect username or password", "https://"+reg.RegistryStr()+"/v2/")}
	}
	if err != nil {
		return onlyPlain(err)
	}
	return nil
}

// greet asks a registry for nothing, but as who we say we are.
func greet(ctx context.Context, reg name.Registry, t http.RoundTripper) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("%s://%s/v2/", reg.Scheme(), reg.RegistryStr()), http.NoBody)
	if err != nil {
		return err
	}
	resp, err := (&http.Client{Transport: t}).Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	return transport.CheckError(resp, http.StatusOK)
}

// Tags lists the tags of a repository at its registry, sorted.
func (s *Store) Tags(ctx context.Context, ref string, auth authn.Authenticator) ([]string, error) {
	n, err := reference.ParseNormalizedNamed(ref)
	if err != nil {
		return nil, invalid("invalid reference format: %s", reason(err))
	}
	repo, err := remoteName(n)
	if err != nil {
		return nil, err
	}
	from, err := s.connect(ctx, repo, auth, "pull")
	if err != nil {
		return nil, explainPull(n, err)
	}
	tags, err := remote.List(repo, remote.WithTransport(from.http), remote.WithContext(ctx))
	if err != nil {
		return nil, explainPull(n, err)
	}
	slices.Sort(tags)
	return tags, nil
}

// RemoteImage is an image at its registry, before it is pulled.
type RemoteImage struct {
	Descriptor ocispec.Descriptor `json:"descriptor"` // of what the tag stands for
	Variants   []RemoteVariant    `json:"variants"`   // one for each platform
}

// RemoteVariant is what an image is on one platform.
type RemoteVariant struct {
	Platform ocispec.Platform `json:"platform"`
	Digest   digest.Digest    `json:"digest"`
	Size     int64            `json:"size"`    // bytes to be transferred by one who has none of it
	Missing  int64            `json:"missing"` // bytes that this sandbox would transfer; only known for this machine's platform, else Size
	Layers   int              `json:"layers"`
}

// InspectRemote asks a registry about an image without pulling it. With sizes, it fetches the manifests of all platforms.
func (s *Store) InspectRemote(ctx context.Context, ref string, auth authn.Authenticator, sizes bool) (RemoteImage, error) {
	n, err := parseName(ref)
	if err != nil {
		return RemoteImage{}, err
	}
	repo, err := remoteName(n)
	if err != nil {
		return RemoteImage{}, err
	}
	from, err := s.connect(ctx, repo, auth, "pull")
	if err != nil {
		return RemoteImage{}, explainPull(n, err)
	}
	d, err := from.manifest(ctx, tagOf(n))
	if err != nil {
		return RemoteImage{}, explainPull(n, err)
	}
	r := RemoteImage{Descriptor: ocispec.Descriptor{MediaType: string(d.MediaType), Digest: digest.Digest(d.Digest.String()), Size: d.Size}}
	if !images.IsIndexType(r.Descriptor.MediaType) {
		found := &remoteImage{from: from}
		if err := found.read(ctx, d); err != nil {
			return r, explainPull(n, err)
		}
		config, err := parseConfig(found.config)
		if err != nil {
			return r, err
		}
		v := s.variant(found.manifest, config.RootFS.DiffIDs)
		v.Platform, v.Digest = config.Platform, r.Descriptor.Digest
		r.Variants = []RemoteVariant{v}
		return r, nil
	}
	var index ocispec.Index
	if err := json.Unmarshal(d.Manifest, &index); err != nil {
		return r, invalid("invalid manifest list: %s", err)
	}
	for _, m := range index.Manifests {
		if m.Platform == nil || m.Platform.OS == "unknown" { // attestations
			continue
		}
		v := RemoteVariant{Digest: m.Digest}
		if sizes {
			if v, err = s.remoteVariant(ctx, from, m); err != nil {
				return r, explainPull(n, err)
			}
		}
		v.Platform = *m.Platform
		r.Variants = append(r.Variants, v)
	}
	return r, nil
}

func (s *Store) remoteVariant(ctx context.Context, from *endpoint, m ocispec.Descriptor) (RemoteVariant, error) {
	d, err := from.manifest(ctx, m.Digest.String())
	if err != nil {
		return RemoteVariant{}, err
	}
	var manifest ocispec.Manifest
	if err := json.Unmarshal(d.Manifest, &manifest); err != nil {
		return RemoteVariant{}, invalid("invalid manifest: %s", err)
	}
	v := s.variant(manifest, nil)
	v.Digest = m.Digest
	return v, nil
}

// variant sums up a manifest. The host knows some layers by their digests, others only by their diff-ids.
func (s *Store) variant(m ocispec.Manifest, diffIDs []digest.Digest) RemoteVariant {
	v := RemoteVariant{Size: m.Config.Size, Missing: m.Config.Size, Layers: len(m.Layers)}
	host, err := s.host.Index()
	if err != nil {
		s.Log.Warn("the host's catalogue", "error", err)
		return v
	}
	for i, l := range m.Layers {
		v.Size += l.Size
		_, known := host.Digests[l.Digest.String()]
		if i < len(diffIDs) && !known {
			_, known = host.Layers[diffIDs[i].String()]
		}
		if !known {
			v.Missing += l.Size
		}
	}
	return v
}

// Search asks a registry's index, where it offers one, as Docker does: GET /v1/search.
func (s *Store) Search(ctx context.Context, term string, limit int, auth authn.Authenticator) ([]registry.SearchResult, error) {
	host, query := name.DefaultRegistry, term
	if first, rest, ok := strings.Cut(term, "/"); ok && (strings.ContainsAny(first, ".:") || first == "localhost") {
		host, query = first, rest
		if host == "docker.io" {
			host = name.DefaultRegistry
		}
	}
	scheme := "https"
	if insecure(host) {
		scheme = "http"
	}
	q := url.Values{"q": {query}, "n": {strconv.Itoa(limit)}}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("%s://%s/v1/search?%s", scheme, host, q.Encode()), http.NoBody)
	if err != nil {
		return nil, invalid("invalid search term: %s", err)
	}
	req.Header.Set("X-Docker-Token", "true") // Docker's registry client sends it
	if auth != nil {
		if c, err := auth.Authorization(); err == nil && c.Username != "" {
			req.SetBasicAuth(c.Username, c.Password)
		}
	}
	base, err := s.transportTo(host)
	if err != nil {
		return nil, err
	}
	resp, err := (&http.Client{Transport: base}).Do(req)
	if err != nil {
		return nil, &classified{message: err.Error(), class: errdefs.ErrUnavailable, cause: err}
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, &classified{message: fmt.Sprintf("Unexpected status code %d", resp.StatusCode), class: errdefs.ErrUnknown}
	}
	var found registry.SearchResults
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxDocument)).Decode(&found); err != nil {
		return nil, fmt.Errorf("error unmarshalling search results: %w", err)
	}
	return found.Results[:min(len(found.Results), limit)], nil
}

// Fetch opens a file in the net, for Import.
func (s *Store) Fetch(ctx context.Context, from string) (io.ReadCloser, error) {
	if !strings.Contains(from, "://") {
		from = "http://" + from
	}
	u, err := url.Parse(from)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" {
		return nil, invalid("invalid URL: %s", from)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, from, http.NoBody)
	if err != nil {
		return nil, invalid("invalid URL: %s", from)
	}
	resp, err := (&http.Client{Transport: s.transport()}).Do(req)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		_ = resp.Body.Close() // an error document
		return nil, fmt.Errorf("failed to GET %s with status %s", from, resp.Status)
	}
	return resp.Body, nil
}
