package network

import (
	"maps"
	"net/netip"
	"sync"
	"time"

	"github.com/moby/moby/api/types/network"
)

// Names of drivers, which are also those of the networks that are always there.
const (
	driverBridge = "bridge"
	driverHost   = "host"
	driverNull   = "null"
	networkNone  = "none"
)

// Options of the bridge driver.
const (
	optionName       = "com.docker.network.bridge.name"
	optionICC        = "com.docker.network.bridge.enable_icc"
	optionMasquerade = "com.docker.network.bridge.enable_ip_masquerade"
	optionHostIP     = "com.docker.network.bridge.host_binding_ipv4"
	optionDefault    = "com.docker.network.bridge.default_bridge"
	optionMTU        = "com.docker.network.driver.mtu"
	optionIfName     = "com.docker.network.endpoint.ifname" // of an endpoint
	optionIfPrefix   = "com.docker.network.container_iface_prefix"
)

// record is what is kept about a network.
type record struct {
	ID         string            `json:"id"`
	Name       string            `json:"name"`
	Driver     string            `json:"driver"`
	Created    time.Time         `json:"created"`
	Internal   bool              `json:"internal,omitempty"`
	Attachable bool              `json:"attachable,omitempty"`
	Labels     map[string]string `json:"labels,omitempty"`
	Options    map[string]string `json:"options,omitempty"`

	// For bridges. Asked is what the request said, for people; the others are what holds.
	Asked   *network.IPAM         `json:"ipam,omitempty"`
	Subnet  netip.Prefix          `json:"subnet,omitzero"`
	Range   netip.Prefix          `json:"range,omitzero"` // addresses are given out of it; zero: of Subnet
	Gateway netip.Addr            `json:"gateway,omitzero"`
	Aux     map[string]netip.Addr `json:"aux,omitempty"`
	Bridge  bridgeConfig          `json:"bridge,omitzero"`
}

// bridgeConfig is what a bridge network's options come to.
type bridgeConfig struct {
	Interface string     `json:"interface"`
	NoICC     bool       `json:"no_icc,omitempty"`    // containers cannot reach each other
	NoNAT     bool       `json:"no_nat,omitempty"`    // not masqueraded
	HostIP    netip.Addr `json:"host_ip,omitzero"`    // where ports are published by default
	MTU       int        `json:"mtu,omitempty"`       // 0: the kernel's
	IfPrefix  string     `json:"if_prefix,omitempty"` // of interfaces in containers; empty: eth
}

// segment is a network.
type segment struct {
	record

	making sync.Mutex // held while its bridge is being made or removed
	index  int        // of the bridge; 0: not made; guarded by making
	mtu    int        // of its interfaces; 0: the kernel's; set with index

	// Guarded by Manager.mu:
	endpoints map[string]*endpoint    // by ID of the container
	used      map[netip.Addr]struct{} // addresses of containers, also of those whose interface is not deleted yet
	leaving   int                     // interfaces that are being deleted
	left      chan struct{}           // closed when leaving is back to 0; nil while it is 0
	removed   bool
}

func newSegment(r record) *segment {
	return &segment{record: r, endpoints: map[string]*endpoint{}, used: map[netip.Addr]struct{}{}}
}

// predefined reports whether it is one of the networks that are always there.
func (s *segment) predefined() bool { return predefined(s.Name) }

func predefined(name string) bool {
	return name == network.NetworkBridge || name == network.NetworkHost || name == network.NetworkNone
}

// named reports whether containers find each other by name: in all bridge networks but the default one.
func (s *segment) named() bool { return s.Driver == driverBridge && !s.predefined() }

// info describes a network as the API does, without its containers.
func (s *segment) info() network.Network {
	n := network.Network{
		Name: s.Name, ID: s.ID, Created: s.Created, Scope: "local", Driver: s.Driver, EnableIPv4: true,
		Internal: s.Internal, Attachable: s.Attachable, Labels: cloned(s.Labels), Options: cloned(s.Options),
		IPAM: network.IPAM{Driver: "default", Options: nil, Config: []network.IPAMConfig{}},
	}
	if s.Asked != nil {
		n.IPAM.Options = cloned(s.Asked.Options)
	} else if !s.predefined() {
		n.IPAM.Options = map[string]string{}
	}
	if s.Driver == driverBridge {
		n.IPAM.Config = append(n.IPAM.Config, network.IPAMConfig{
			Subnet: s.Subnet, IPRange: s.Range, Gateway: s.Gateway, AuxAddress: maps.Clone(s.Aux),
		})
	}
	return n
}

// cloned copies a map; the API has an empty one where there is none.
func cloned(m map[string]string) map[string]string {
	if m == nil {
		return map[string]string{}
	}
	return maps.Clone(m)
}
