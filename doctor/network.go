package doctor

import (
	"context"
	"fmt"
	"strings"

	"github.com/google/nftables"

	"berth/quotas/network"
)

func networkParts(ctx context.Context, _ Config) []Check {
	check := Check{Name: "network", Must: true, Status: OK, Detail: "veth, token bucket, nftables with NAT and limits"}
	if err := network.Probe(ctx); err != nil {
		check.Status, check.Detail = Missing, err.Error()
		check.Mend = "modprobe -a veth sch_tbf nf_tables nft_ct nft_limit nft_connlimit nft_masq"
	}
	return []Check{check}
}

// forwarding tells what will change on the host, and who else may be in the way.
func forwarding(context.Context, Config) []Check {
	check := Check{Name: "forwarding", Status: OK, Detail: "net.ipv4.ip_forward is 1"}
	if n, err := readNumber("/proc/sys/net/ipv4/ip_forward"); err != nil {
		check.Status, check.Detail = Degraded, err.Error()
	} else if n == 0 {
		check.Detail = "net.ipv4.ip_forward is 0: serve switches it on"
	}
	return append([]Check{check}, otherFirewalls()...)
}

// otherFirewalls finds chains that drop what is forwarded; ours cannot overrule them.
func otherFirewalls() []Check {
	c, err := nftables.New()
	if err != nil {
		return nil // the check of the network says why
	}
	chains, err := c.ListChains()
	if err != nil {
		return nil
	}
	var checks []Check
	for _, ch := range chains {
		if ch.Policy == nil || *ch.Policy != nftables.ChainPolicyDrop || ch.Hooknum == nil ||
			*ch.Hooknum != *nftables.ChainHookForward || ch.Table.Family == nftables.TableFamilyIPv6 ||
			strings.HasPrefix(ch.Table.Name, "berth_") {
			continue
		}
		checks = append(checks, Check{
			Name: "firewall", Status: Degraded,
			Detail: fmt.Sprintf("chain %s of table %s drops what it does not know: sandboxes may not reach the network",
				ch.Name, ch.Table.Name),
			Mend: "iptables -I FORWARD -i berth+ -j ACCEPT; iptables -I FORWARD -o berth+ -j ACCEPT",
		})
	}
	return checks
}
