package quotas

import (
	"fmt"
	"strconv"
	"strings"
)

// Ports is one entry of Egress.Ports, read.
type Ports struct {
	UDP         bool // else TCP
	First, Last uint16
}

// ParsePorts reads "443", "8000-8999", "53/udp", "443/tcp".
func ParsePorts(list []string) ([]Ports, error) {
	var all []Ports
	for _, s := range list {
		numbers, protocol, slash := strings.Cut(s, "/")
		if slash && protocol != "tcp" && protocol != "udp" {
			return nil, fmt.Errorf("egress port %q: want tcp or udp behind the slash", s)
		}
		first, last, isRange := strings.Cut(numbers, "-")
		if !isRange {
			last = first
		}
		a, err1 := strconv.ParseUint(first, 10, 16)
		b, err2 := strconv.ParseUint(last, 10, 16)
		if err1 != nil || err2 != nil || a == 0 || b < a {
			return nil, fmt.Errorf(`egress port %q: want a port or range, like "443", "8000-8999" or "53/udp"`, s)
		}
		all = append(all, Ports{UDP: protocol == "udp", First: uint16(a), Last: uint16(b)})
	}
	return all, nil
}
