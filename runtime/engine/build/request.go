package build

import (
	"encoding/json"
	"strconv"
	"strings"

	"github.com/moby/buildkit/client"
	"github.com/moby/buildkit/util/entitlements"
	apicontainer "github.com/moby/moby/api/types/container"
	apinetwork "github.com/moby/moby/api/types/network"
	"github.com/moby/moby/api/types/registry"
)

// Request is what POST /build asks for.
type Request struct {
	Dockerfile string // below the context; empty: Dockerfile
	Remote     string // URL of the context; empty: the body is the context, a tar
	Target     string
	Platform   string
	Network    string // default, none, host
	Tags       []string
	Args       map[string]*string // nil: not given
	Labels     map[string]string
	CacheFrom  []string
	ExtraHosts []string // NAME:ADDRESS, where the address may be host-gateway
	NoCache    bool
	Pull       bool
	Quiet      bool
	ShmSize    int64
	Cgroup     string
	Ulimits    []*apicontainer.Ulimit
	Resources  apicontainer.Resources
	Outputs    []client.ExportEntry
	Auth       map[string]registry.AuthConfig // by registry
}

// attributes translates a request for the Dockerfile frontend.
func (r *Request) attributes(gateway string) (map[string]string, error) {
	a := map[string]string{"image-resolve-mode": "default"}
	set := func(key, value string) {
		if value != "" && value != "0" {
			a[key] = value
		}
	}
	set("target", r.Target)
	set("filename", r.Dockerfile)
	set("platform", r.Platform)
	set("cgroup-parent", r.Cgroup)
	set("shm-size", strconv.FormatInt(r.ShmSize, 10))
	set("memory", strconv.FormatInt(r.Resources.Memory, 10))
	set("memswap", strconv.FormatInt(r.Resources.MemorySwap, 10))
	set("cpushares", strconv.FormatInt(r.Resources.CPUShares, 10))
	set("cpuperiod", strconv.FormatInt(r.Resources.CPUPeriod, 10))
	set("cpuquota", strconv.FormatInt(r.Resources.CPUQuota, 10))
	set("cpusetcpus", r.Resources.CpusetCpus)
	set("cpusetmems", r.Resources.CpusetMems)
	if r.NoCache {
		a["no-cache"] = ""
	}
	if r.Pull {
		a["image-resolve-mode"] = "pull"
	}
	for k, v := range r.Args {
		if v != nil {
			a["build-arg:"+k] = *v
		}
	}
	for k, v := range r.Labels {
		a["label:"+k] = v
	}
	var ulimits []string
	for _, u := range r.Ulimits {
		ulimits = append(ulimits, u.String())
	}
	set("ulimit", strings.Join(ulimits, ","))
	switch r.Network {
	case "", apinetwork.NetworkDefault, apinetwork.NetworkBridge:
	case apinetwork.NetworkHost, apinetwork.NetworkNone:
		a["force-network-mode"] = r.Network
	default:
		return nil, invalid("network mode %q not supported by buildkit", r.Network)
	}
	hosts, err := r.hosts(gateway)
	set("add-hosts", hosts)
	return a, err
}

func (r *Request) hosts(gateway string) (string, error) {
	var hosts []string
	for _, h := range r.ExtraHosts {
		host, ip, ok := strings.Cut(h, ":")
		if !ok || host == "" || ip == "" {
			return "", invalid("invalid host %s", h)
		}
		if ip == "host-gateway" {
			ip = gateway
		}
		hosts = append(hosts, host+"="+ip)
	}
	return strings.Join(hosts, ","), nil
}

// entitlements are those that the request's own options need.
func (r *Request) entitlements() []string {
	if r.Network == apinetwork.NetworkHost {
		return []string{string(entitlements.EntitlementNetworkHost)}
	}
	return nil
}

// export is where the result goes: among the images, unless it was said otherwise.
func (r *Request) export() []client.ExportEntry {
	if len(r.Outputs) == 1 && r.Outputs[0].Type == "cacheonly" {
		return nil
	}
	out := r.Outputs
	if len(out) == 0 {
		out = []client.ExportEntry{{Type: exporterMoby}}
	}
	for i := range out {
		if out[i].Type == exporterMoby || out[i].Type == client.ExporterImage {
			if out[i].Attrs == nil {
				out[i].Attrs = map[string]string{}
			}
			if out[i].Attrs["name"] == "" && len(r.Tags) > 0 {
				out[i].Attrs["name"] = strings.Join(r.Tags, ",")
			}
		}
	}
	return out
}

// ParseOutputs reads the query parameter "outputs".
func ParseOutputs(s string) ([]client.ExportEntry, error) {
	if s == "" {
		return nil, nil
	}
	var list []struct {
		Type  string
		Attrs map[string]string
	}
	if err := json.Unmarshal([]byte(s), &list); err != nil {
		return nil, invalid("invalid outputs specified: %s", err)
	}
	if len(list) > 1 {
		return nil, invalid("multiple outputs not supported")
	}
	var out []client.ExportEntry
	for _, o := range list {
		out = append(out, client.ExportEntry{Type: o.Type, Attrs: o.Attrs})
	}
	return out, nil
}
