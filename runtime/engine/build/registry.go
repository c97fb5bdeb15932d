package build

import (
	"net/http"
	"path"
	"strings"

	"github.com/containerd/containerd/v2/core/remotes/docker"

	"berth/runtime/engine/image"
)

// Docker Hub's names: in references, and of its registry.
const (
	hub         = "docker.io"
	hubRegistry = "registry-1.docker.io"
)

// registryHosts says where images and caches are fetched and sent, as the image store does it: of Docker Hub from the mirrors
// first, by plain HTTP on this machine only, and with who vouches for a registry. Credentials are the client's session's.
func registryHosts(images *image.Store, mirrors []string) docker.RegistryHosts {
	return func(host string) ([]docker.RegistryHost, error) {
		var hosts []docker.RegistryHost
		if host == hub {
			for _, m := range mirrors {
				h, err := mirrorHost(images, m)
				if err != nil {
					return nil, err
				}
				hosts = append(hosts, h)
			}
			host = hubRegistry
		}
		own, err := registryHost(images, host, image.PlainHTTP(host))
		own.Capabilities |= docker.HostCapabilityPush
		return append(hosts, own), err
	}
}

func mirrorHost(images *image.Store, address string) (docker.RegistryHost, error) {
	address, plain := strings.CutPrefix(address, "http://")
	address = strings.TrimSuffix(strings.TrimPrefix(address, "https://"), "/")
	name, below, _ := strings.Cut(address, "/")
	h, err := registryHost(images, name, plain || image.PlainHTTP(name))
	h.Path = path.Join(h.Path, below)
	return h, err
}

func registryHost(images *image.Store, host string, plain bool) (docker.RegistryHost, error) {
	transport, err := images.RegistryTransport(host)
	h := docker.RegistryHost{
		Host: host, Scheme: "https", Path: "/v2", Client: &http.Client{Transport: transport},
		Capabilities: docker.HostCapabilityPull | docker.HostCapabilityResolve,
	}
	if plain {
		h.Scheme = "http"
	}
	return h, err
}
