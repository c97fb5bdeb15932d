package network_test

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	networktypes "github.com/moby/moby/api/types/network"
	"golang.org/x/sys/unix"

	"berth/runtime/engine/network"
)

func TestPortsTaken(t *testing.T) {
	l := newLab(t)
	l.join(t, "first", publish("80/tcp", "8080"))
	busy, err := net.Listen("tcp", "127.0.0.1:8081")
	must(t, err)
	t.Cleanup(func() { _ = busy.Close() })
	for host, want := range map[string]string{
		"8080": "Bind for 0.0.0.0:8080 failed: port is already allocated",
		"8081": "failed to bind host port 0.0.0.0:8081/tcp: address already in use",
	} {
		j := network.Join{ContainerID: identity("second"), Name: "second"}
		publish("80/tcp", host)(&j)
		_, err := l.Join(t.Context(), j)
		prefix := "failed to set up container networking: driver failed programming external connectivity on endpoint second ("
		if err == nil || !strings.HasPrefix(err.Error(), prefix) || !strings.HasSuffix(err.Error(), "): "+want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
	for _, host := range []string{"80a", "9-8", "70000"} {
		j := network.Join{ContainerID: identity("second"), Name: "second"}
		publish("80/tcp", host)(&j)
		if _, err := l.Join(t.Context(), j); err == nil || !strings.Contains(err.Error(), "invalid port specification") {
			t.Errorf("%s: %v", host, err)
		}
	}
	j := network.Join{ContainerID: identity("second"), Name: "second"}
	publish("80/sctp", "80")(&j)
	if _, err := l.Join(t.Context(), j); err == nil || !strings.Contains(err.Error(), "sctp is not supported") {
		t.Error(err)
	}
	if list := joinedPorts(l.join(t, "second", publish("80/tcp", "8080-8082"))); list != "80/tcp:8082" {
		t.Errorf("of a range of which two are taken: %s", list)
	}
	l.leave(t, "first")
	l.join(t, "third", publish("80/tcp", "8080")) // free again at once
}

func TestPublishAll(t *testing.T) {
	l := newLab(t)
	all := func(j *network.Join) {
		j.PublishAll = true
		j.Exposed = networktypes.PortSet{networktypes.MustParsePort("80/tcp"): {}, networktypes.MustParsePort("53/udp"): {}}
		j.Ports = networktypes.PortMap{networktypes.MustParsePort("80/tcp"): {{HostPort: "80"}}, networktypes.MustParsePort("81/tcp"): {{}}}
	}
	if got := joinedPorts(l.join(t, "one", all)); got != "53/udp:32768 80/tcp:80 81/tcp:32768" {
		t.Error(got)
	}
	l.leave(t, "one")
	if got := joinedPorts(l.join(t, "two", publish("80/tcp", ""))); got != "80/tcp:32769" {
		t.Errorf("a random port is not soon given again: %s", got)
	}
}

func TestUDP(t *testing.T) {
	l := newLab(t)
	echo := func(name string) *space {
		s := enter(t, l.join(t, name, publish("53/udp", "5353")))
		var c net.PacketConn
		s.run(func() {
			var err error
			c, err = net.ListenPacket("udp4", ":53")
			must(t, err)
		})
		t.Cleanup(func() { _ = c.Close() })
		go func() {
			buf := make([]byte, 100)
			for {
				n, from, err := c.ReadFrom(buf)
				if err != nil {
					return
				}
				_, _ = c.WriteTo(append([]byte(name+" "), buf[:n]...), from)
			}
		}()
		return s
	}
	echo("one")
	client, err := net.Dial("udp4", "127.0.0.1:5353")
	must(t, err)
	defer client.Close()
	say := func(text string) string {
		for range 3 {
			must(t, client.SetDeadline(time.Now().Add(300*time.Millisecond)))
			if _, err := client.Write([]byte(text)); err != nil {
				continue
			}
			buf := make([]byte, 100)
			if n, err := client.Read(buf); err == nil {
				return string(buf[:n])
			}
		}
		return "no answer"
	}
	if got := say("hello"); got != "one hello" {
		t.Error(got)
	}
	l.join(t, "stays") // so that the next has another address
	l.leave(t, "one")
	l.join(t, "between")
	echo("two")
	if got := say("again"); got != "two again" {
		t.Errorf("the same flow, when another container has the port: %q", got)
	}
}

func TestListening(t *testing.T) {
	l := newLab(t)
	l.join(t, "web", publish("80/tcp", "8080"))
	own, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	t.Cleanup(func() { _ = own.Close() })
	port := netip.MustParseAddrPort(own.Addr().String()).Port()
	comm, err := os.ReadFile("/proc/self/comm")
	must(t, err)
	list := func() []string {
		found, err := l.Listening(t.Context())
		must(t, err)
		var out []string
		for _, f := range found {
			out = append(out, fmt.Sprintf("%d %v %s %s %d", f.Port, f.Addresses, f.Process, f.ContainerName, f.ContainerPort))
		}
		return out
	}
	want := []string{
		"8080 [0.0.0.0 ::]  web 80",
		fmt.Sprintf("%d [127.0.0.1] %s  0", port, strings.TrimSpace(string(comm))),
	}
	for range 2 {
		if got := list(); !slices.Equal(got, want) {
			t.Errorf("%q, want %q", got, want)
		}
	}
	c, err := net.Dial("tcp", own.Addr().String()) // a connection is no listener
	must(t, err)
	defer c.Close()
	l.leave(t, "web")
	if got := list(); !slices.Equal(got, want[1:]) {
		t.Errorf("%q, want %q", got, want[1:])
	}
}

func BenchmarkListening(b *testing.B) {
	l := newLab(b)
	l.join(b, "web", publish("80/tcp", "8080"))
	own, err := net.Listen("tcp", "127.0.0.1:0")
	must(b, err)
	b.Cleanup(func() { _ = own.Close() })
	for b.Loop() {
		_, err := l.Listening(b.Context())
		must(b, err)
	}
}

// joinedPorts writes ports as bound on 0.0.0.0.
func joinedPorts(j network.Joined) string {
	var out []string
	for p, bindings := range j.Ports {
		for _, b := range bindings {
			if b.HostIP == netip.IPv4Unspecified() {
				out = append(out, p.String()+":"+b.HostPort)
			}
		}
	}
	slices.Sort(out)
	return strings.Join(out, " ")
}

// TestManyPorts is more than one transaction.
func TestManyPorts(t *testing.T) {
	l := newLab(t)
	var free unix.Rlimit
	must(t, unix.Getrlimit(unix.RLIMIT_NOFILE, &free))
	if free.Cur < 4096 {
		t.Skip("needs 4096 descriptors")
	}
	j := l.join(t, "web", func(j *network.Join) {
		j.Ports = networktypes.PortMap{}
		for i := range 1200 {
			p := strconv.Itoa(10000 + i)
			j.Ports[networktypes.MustParsePort(p+"/tcp")] = []networktypes.PortBinding{{HostPort: p}}
		}
	})
	web := enter(t, j)
	web.serve(t, ":10000", "first")
	web.serve(t, ":11199", "last")
	for port, want := range map[string]string{"10000": "first 172.17.0.1", "11199": "last 172.17.0.1"} {
		if got := askFromHere("127.0.0.1:" + port); got != want {
			t.Errorf("%s: %q", port, got)
		}
	}
}
