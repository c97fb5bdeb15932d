package imagecache

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	goruntime "runtime"
	"strings"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
)

// PullOptions say how to speak to a registry.
type PullOptions struct {
	Name      string // another name for the image in the cache
	Insecure  bool   // allow plain HTTP; on loopback it is always allowed
	Keychain  authn.Keychain
	Progress  Progress
	Transport http.RoundTripper // default: remote.DefaultTransport
}

// Pull fetches an image for this host's platform from a registry: only the layers that the cache lacks. Credentials come
// from the keychain, by default that of `docker login`.
func (c *Cache) Pull(ctx context.Context, ref string, o PullOptions) (_ Image, err error) {
	full, err := normalise(ref)
	if err != nil {
		return Image{}, err
	}
	names, err := chooseNames(o.Name, []string{full}, 1)
	if err != nil {
		return Image{}, err
	}
	s, err := c.newStaging()
	if err != nil {
		return Image{}, err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	in, err := o.describe(ctx, ref)
	if err != nil {
		return Image{}, explainPull(familiar(full), err)
	}
	in.names = names
	img, err := c.add(ctx, s, in, o.Progress.orSilent())
	if err != nil {
		return Image{}, explainPull(familiar(full), err)
	}
	return img, nil
}

// describe fetches manifest and config.
func (o PullOptions) describe(ctx context.Context, ref string) (incoming, error) {
	var nameOptions []name.Option
	if o.Insecure {
		nameOptions = append(nameOptions, name.Insecure)
	}
	r, err := name.ParseReference(ref, nameOptions...)
	if err != nil {
		return incoming{}, err
	}
	base, keychain := o.Transport, o.Keychain
	if base == nil {
		base = remote.DefaultTransport
	}
	if keychain == nil {
		keychain = authn.DefaultKeychain
	}
	image, err := remote.Image(r, remote.WithContext(ctx), remote.WithAuthFromKeychain(keychain),
		remote.WithPlatform(v1.Platform{OS: "linux", Architecture: goruntime.GOARCH}),
		remote.WithTransport(plainGuard{base, o.Insecure}), remote.WithUserAgent("berth"))
	if err != nil {
		return incoming{}, err
	}
	in := incoming{}
	if in.manifest, err = image.RawManifest(); err != nil {
		return incoming{}, err
	}
	manifest, err := image.Manifest()
	if err != nil {
		return incoming{}, err
	}
	if manifest.Config.Size > maxDocument {
		return incoming{}, fmt.Errorf("the image's config is %d bytes long, and the most is %d", manifest.Config.Size, maxDocument)
	}
	if in.config, err = image.RawConfigFile(); err != nil {
		return incoming{}, err
	}
	for _, d := range manifest.Layers {
		in.layers = append(in.layers, incomingLayer{digest: d.Digest.String(), size: d.Size, open: o.layerOpener(image, d.Digest)})
	}
	return in, nil
}

// layerOpener asks for a layer when its turn comes. A registry that then stands still is given up.
func (PullOptions) layerOpener(image v1.Image, digest v1.Hash) func(context.Context) (io.ReadCloser, error) {
	return func(ctx context.Context) (io.ReadCloser, error) {
		layer, err := image.LayerByDigest(digest)
		if err != nil {
			return nil, err
		}
		body, err := layer.Compressed()
		if err != nil {
			return nil, err
		}
		return watchStall(ctx, body), nil
	}
}

// plainGuard keeps the library from falling back to plain HTTP, as it does for private addresses.
type plainGuard struct {
	http.RoundTripper
	allowed bool
}

var errPlainHTTP = errors.New("the registry speaks plain HTTP")

func (g plainGuard) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Scheme == "http" && !g.allowed && !loopback(r.URL.Hostname()) {
		return nil, fmt.Errorf("%w: if you trust the network to it, say --insecure", errPlainHTTP)
	}
	return g.RoundTripper.RoundTrip(r)
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || strings.HasSuffix(host, ".localhost") || ip != nil && ip.IsLoopback()
}

// explainPull turns what a registry answers into a sentence that says what to do.
func explainPull(ref string, err error) error {
	registry, login := "Docker Hub", "docker login"
	if r, e := name.ParseReference(ref); e == nil && r.Context().RegistryStr() != name.DefaultRegistry {
		registry = r.Context().RegistryStr()
		login += " " + registry
	}
	var answer *transport.Error
	var network net.Error
	if errors.As(err, &answer) {
		switch answer.StatusCode {
		case http.StatusUnauthorized, http.StatusForbidden:
			return fmt.Errorf("pull %s: %s refuses access, or there is no such image: check the name, or log in with `%s`: %w",
				ref, registry, login, err)
		case http.StatusNotFound:
			return fmt.Errorf("pull %s: %s has no such image or tag: check the name: %w", ref, registry, err)
		case http.StatusTooManyRequests:
			return fmt.Errorf("pull %s: %s says that this address has pulled too much: wait some hours, or log in with `%s`, "+
				"which allows more: %w", ref, registry, login, err)
		}
	}
	if errors.As(err, &network) && !errors.Is(err, errPlainHTTP) {
		return fmt.Errorf("pull %s: %s cannot be reached: check the network and the proxy settings, or bring the image as a file "+
			"(`docker save`, then `berth image import`): %w", ref, registry, err)
	}
	return fmt.Errorf("pull %s: %w", ref, err)
}
