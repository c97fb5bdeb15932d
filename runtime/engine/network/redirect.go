package network

import (
	"fmt"
	"net/netip"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

const portDNS = 53

// redirectDNS makes what is sent to port 53 of the resolver's address arrive at the ports where it listens. It acts on the
// network namespace of the thread that it runs on.
func redirectDNS(udp, tcp uint16) error {
	c, err := nftables.New()
	if err != nil {
		return fmt.Errorf("nftables: %w", err)
	}
	t := &nftables.Table{Family: nftables.TableFamilyIPv4, Name: tableName}
	c.AddTable(t)
	chain := c.AddChain(&nftables.Chain{
		Table: t, Name: "output", Type: nftables.ChainTypeNAT, Hooknum: nftables.ChainHookOutput, Priority: nftables.ChainPriorityNATDest,
	})
	c.FlushChain(chain) // an earlier resolver's rules
	at := address(netip.MustParseAddr(resolverAddress))
	for protocol, to := range map[byte]uint16{unix.IPPROTO_UDP: udp, unix.IPPROTO_TCP: tcp} {
		c.AddRule(&nftables.Rule{Table: t, Chain: chain, Exprs: []expr.Any{
			&expr.Payload{DestRegister: reg16, Base: expr.PayloadBaseNetworkHeader, Offset: offsetDestination, Len: 4},
			&expr.Cmp{Op: expr.CmpOpEq, Register: reg16, Data: at},
			&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: reg16},
			&expr.Cmp{Op: expr.CmpOpEq, Register: reg16, Data: []byte{protocol}},
			&expr.Payload{DestRegister: reg16, Base: expr.PayloadBaseTransportHeader, Offset: offsetPort, Len: 2},
			&expr.Cmp{Op: expr.CmpOpEq, Register: reg16, Data: port(portDNS)},
			&expr.Immediate{Register: reg32, Data: at},
			&expr.Immediate{Register: reg32 + 1, Data: port(to)},
			&expr.NAT{Type: expr.NATTypeDestNAT, Family: unix.NFPROTO_IPV4, RegAddrMin: reg16, RegProtoMin: reg32 + 1, Specified: true},
		}})
	}
	if err := c.Flush(); err != nil {
		return fmt.Errorf("nftables: %w", err)
	}
	return nil
}
