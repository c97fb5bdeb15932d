package build

import (
	"strings"

	"github.com/containerd/containerd/v2/core/remotes/docker"
	"github.com/moby/buildkit/util/resolver"
	"github.com/moby/buildkit/util/resolver/config"
)

// registryHosts says where images and caches are fetched: of Docker Hub from the mirrors first. Plain HTTP is spoken with
// registries on this machine, and with mirrors whose address says so.
func registryHosts(mirrors []string) docker.RegistryHosts {
	yes := true
	registries := map[string]config.RegistryConfig{}
	var hosts []string
	for _, m := range mirrors {
		host, plain := strings.CutPrefix(m, "http://")
		host = strings.TrimSuffix(strings.TrimPrefix(host, "https://"), "/")
		if plain {
			name, _, _ := strings.Cut(host, "/")
			registries[name] = config.RegistryConfig{PlainHTTP: &yes}
		}
		hosts = append(hosts, host)
	}
	if len(hosts) > 0 {
		registries["docker.io"] = config.RegistryConfig{Mirrors: hosts}
	}
	return resolver.NewRegistryConfig(registries)
}
