package network

import (
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"strconv"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/network"
)

// interfaceName is what the kernel takes as a name (net/core/dev.c, dev_valid_name), without what a shell would mind.
var interfaceName = regexp.MustCompile(`^[a-zA-Z0-9_][a-zA-Z0-9_.-]{0,14}$`)

// Bounds of an MTU: the least that IPv4 allows, and what an interface can have.
const (
	minMTU = 68
	maxMTU = 65535
)

// set reads one option of the bridge driver.
func (b *bridgeConfig) set(name, value string) error {
	flag := func(negated *bool) error {
		v, err := strconv.ParseBool(value)
		if err != nil {
			return invalid("invalid value for %s: %q is no boolean", name, value)
		}
		*negated = !v
		return nil
	}
	switch name {
	case optionName:
		if !interfaceName.MatchString(value) || value == "docker0" {
			return invalid("invalid bridge name %q: want at most 15 letters, digits, '_', '.' and '-'", value)
		}
		b.Interface = value
	case optionICC:
		return flag(&b.NoICC)
	case optionMasquerade:
		return flag(&b.NoNAT)
	case optionHostIP:
		ip, err := netip.ParseAddr(value)
		if err != nil || !ip.Is4() {
			return invalid("invalid value for %s: %q is no IPv4 address", name, value)
		}
		b.HostIP = ip
	case optionMTU:
		mtu, err := strconv.Atoi(value)
		if err != nil || mtu < minMTU || mtu > maxMTU {
			return invalid("invalid value for %s: %q is no MTU", name, value)
		}
		b.MTU = mtu
	case optionIfPrefix:
		if !interfaceName.MatchString(value) || len(value) > 12 {
			return invalid("invalid value for %s: %q", name, value)
		}
		b.IfPrefix = value
	default:
		return invalid("driver option %s is not supported in this playground: leave it out", name)
	}
	return nil
}

// setIPAM checks what a request says of addresses, and takes it over.
func (r *record) setIPAM(asked *network.IPAM) error {
	if asked == nil {
		return nil
	}
	if asked.Driver != "" && asked.Driver != "default" {
		return errdefs.ErrNotFound.WithMessage(fmt.Sprintf("plugin %q not found", asked.Driver))
	}
	for name := range asked.Options {
		return invalid("IPAM option %s is not supported in this playground: leave it out", name)
	}
	if len(asked.Config) > 1 {
		return invalid("IPAM.Config with several subnets is not supported in this playground: bridge networks have one")
	}
	for _, c := range asked.Config {
		if !c.Subnet.IsValid() {
			return invalid("invalid network config:\ninvalid subnet %s: invalid CIDR block notation", "")
		}
		if !c.Subnet.Addr().Is4() {
			return invalid("IPv6 is not supported in this playground: its networks have IPv4 only")
		}
		if err := checkSubnet(c); err != nil {
			return invalid("invalid network config:\n%s", err)
		}
		r.Subnet, r.Range, r.Gateway, r.Aux = c.Subnet, c.IPRange, c.Gateway, c.AuxAddress
	}
	return nil
}

// checkSubnet says all that is wrong, in Docker's words.
func checkSubnet(c network.IPAMConfig) error {
	var errs []error
	wrong := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	subnet := c.Subnet
	if subnet != subnet.Masked() {
		wrong("invalid subnet %s: it should be %s", subnet, subnet.Masked())
	}
	if subnet.Bits() > 30 {
		wrong("invalid subnet %s: it is too small", subnet)
	}
	if p := c.IPRange; p.IsValid() {
		switch {
		case !p.Addr().Is4():
			wrong("invalid ip-range %s: parent subnet is an IPv4 block", p)
		case p.Bits() < subnet.Bits():
			wrong("invalid ip-range %s: CIDR block is bigger than its parent subnet %s", p, subnet)
		case p != p.Masked():
			wrong("invalid ip-range %s: it should be %s", p, p.Masked())
		case !subnet.Overlaps(p):
			wrong("invalid ip-range %s: parent subnet %s doesn't contain ip-range", p, subnet)
		}
	}
	within := func(what string, a netip.Addr) {
		switch {
		case !a.Is4():
			wrong("invalid %s: parent subnet is an IPv4 block", what)
		case !subnet.Contains(a):
			wrong("invalid %s: parent subnet %s doesn't contain this address", what, subnet)
		}
	}
	if c.Gateway.IsValid() {
		within("gateway "+c.Gateway.String(), c.Gateway)
	}
	for name, a := range c.AuxAddress {
		within("auxiliary address "+name, a)
	}
	return errors.Join(errs...)
}
