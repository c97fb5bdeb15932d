package network

import (
	"bufio"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// socket is one that listens.
type socket struct {
	at    netip.AddrPort
	inode string
}

// listeners reads the TCP sockets that listen in the namespace of the thread.
func listeners() ([]socket, error) {
	var all []socket
	for _, family := range []byte{unix.AF_INET, unix.AF_INET6} {
		found, err := diagnose(family)
		if err != nil {
			return fromProc() // no sock_diag: gVisor, or a kernel without inet_diag
		}
		all = append(all, found...)
	}
	return all, nil
}

// States of a socket, and the sizes of the structures of sock_diag(7).
const (
	tcpListen   = 10
	diagRequest = 56 // struct inet_diag_req_v2
	diagMessage = 72 // struct inet_diag_msg
)

// diagnose asks sock_diag(7) for the sockets of a family that listen. Reading /proc/net/tcp takes 10 ms instead: the kernel
// goes through the table of all connections, however few there are.
func diagnose(family byte) ([]socket, error) {
	request := nl.NewNetlinkRequest(nl.SOCK_DIAG_BY_FAMILY, unix.NLM_F_DUMP)
	body := make([]byte, diagRequest)
	body[0], body[1] = family, unix.IPPROTO_TCP
	binary.NativeEndian.PutUint32(body[4:], 1<<tcpListen)
	request.AddRawData(body)
	messages, err := request.Execute(unix.NETLINK_INET_DIAG, 0)
	if err != nil {
		return nil, fmt.Errorf("sock_diag: %w", err)
	}
	sockets := make([]socket, 0, len(messages))
	for _, m := range messages {
		if len(m) < diagMessage {
			return nil, errors.New("sock_diag: short message")
		}
		length := 4
		if family == unix.AF_INET6 {
			length = 16
		}
		address, _ := netip.AddrFromSlice(m[8 : 8+length])
		sockets = append(sockets, socket{
			at:    netip.AddrPortFrom(address.Unmap(), binary.BigEndian.Uint16(m[4:])),
			inode: strconv.FormatUint(uint64(binary.NativeEndian.Uint32(m[68:])), 10),
		})
	}
	return sockets, nil
}

func fromProc() ([]socket, error) {
	var all []socket
	for _, file := range []string{"/proc/thread-self/net/tcp", "/proc/thread-self/net/tcp6"} {
		found, err := readProc(file)
		if err != nil && !errors.Is(err, fs.ErrNotExist) { // no IPv6
			return nil, fmt.Errorf("listening ports: %w", err)
		}
		all = append(all, found...)
	}
	return all, nil
}

// stateListen is TCP_LISTEN in /proc/net/tcp.
const stateListen = "0A"

// readProc reads the sockets that listen from a file as proc_net_tcp.rst describes.
func readProc(file string) ([]socket, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var sockets []socket
	lines := bufio.NewScanner(f)
	lines.Scan() // the heading
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) < 10 || fields[3] != stateListen {
			continue
		}
		at, err := parseSocket(fields[1])
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		sockets = append(sockets, socket{at: at, inode: fields[9]})
	}
	return sockets, lines.Err()
}

// parseSocket reads an address as /proc/net/tcp writes it, 0100007F:1F90: words of 32 bits in the machine's order, which is
// little endian on all that a sandbox runs on, and the port.
func parseSocket(s string) (netip.AddrPort, error) {
	text, portText, ok := strings.Cut(s, ":")
	b, err := hex.DecodeString(text)
	if !ok || err != nil || len(b) != 4 && len(b) != 16 {
		return netip.AddrPort{}, fmt.Errorf("address %q", s)
	}
	for i := 0; i < len(b); i += 4 {
		slices.Reverse(b[i : i+4])
	}
	port, err := strconv.ParseUint(portText, 16, 16)
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("address %q", s)
	}
	a, _ := netip.AddrFromSlice(b)
	return netip.AddrPortFrom(a.Unmap(), uint16(port)), nil
}
