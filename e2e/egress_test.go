package e2e_test

import (
	"fmt"
	"io"
	"maps"
	"net"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"berth/quotas"
)

// egressEnvironments allow two ports.
const egressEnvironments = `
environments:
  - name: debian
    image: debian
    limits: &limits {cpus: 1, memory: 256MiB, pids: 512, disk: 128MiB, inodes: 16384, terminals: 8, egress: {ports: ["80", "443"]}}
    lifetime: 20m
    max_lifetime: 1h
    idle_timeout: 0s
  - name: busybox
    image: busybox
    limits: *limits
    lifetime: 20m
    max_lifetime: 1h
    idle_timeout: 0s
`

// TestEgress tries from inside a sandbox what its policy allows and what no policy does.
func TestEgress(t *testing.T) {
	private := []string{"10.1.2.3", "172.16.5.5", "192.168.7.7", "169.254.169.254", "100.99.1.1", "198.18.0.1"}
	w := newWorld(t, append([]string{public}, private...), 25, 80, 443, 8443)
	for _, a := range append([]string{public}, private...) { // the host itself reaches all: what sandboxes do not reach is denied
		c, err := net.Dial("tcp4", a+":80")
		must(t, err)
		_, err = io.ReadAll(c) // counted by now
		must(t, err)
		_ = c.Close()
	}
	own, err := net.Listen("tcp4", ":80") // a service of the host, on all its addresses
	must(t, err)
	t.Cleanup(func() { _ = own.Close() })
	s := newServer(t, egressEnvironments, "--dns", nameServer(t))
	s.start()
	box, neighbour := s.open("debian"), s.open("busybox")
	told := box.watch()
	if got := box.sh("getent ahostsv4 example.org").Stdout; !strings.HasPrefix(got, public+" ") {
		t.Errorf("the name resolves to %q, want %s", got, public)
	}
	gateway := strings.Fields(box.sh("grep nameserver /etc/resolv.conf").Stdout)[1]
	before := w.connections()
	targets := append(append([]string{public, gateway, hostPublic, neighbour.listen()}, private...), "example.org")
	got := box.reach(targets, 25, 80, 443, 8443)
	want := fmt.Sprintf("%[1]s:443\n%[1]s:80\nexample.org:443\nexample.org:80\n", public)
	if got != want {
		t.Errorf("the sandbox reached\n%swant\n%s", got, want)
	}
	after := w.connections()
	for address, n := range before {
		after[address] -= n
	}
	maps.DeleteFunc(after, func(_ string, n int) bool { return n == 0 })
	if fmt.Sprint(after) != fmt.Sprintf("map[%[1]s:443:2 %[1]s:80:2]", public) {
		t.Errorf("the world saw %v", after)
	}
	t.Log("notice:", told.await(t, "egress").Message)
	eventually(t, patience, func() error {
		if u := told.usage(); u.EgressDenied == 0 || u.SentBytes == 0 || u.ReceivedBytes == 0 {
			return fmt.Errorf("not counted: %+v", u)
		}
		return nil
	})
	for _, b := range []*session{box, neighbour} {
		must(t, b.End(t.Context(), b.id))
	}
	s.wantNothingLeft()
}

// reach tries to connect to every port of every target and returns what answered, sorted.
func (s *session) reach(targets []string, ports ...int) string {
	s.t.Helper()
	script := `for a in %s; do for p in %s; do
  (timeout 3 bash -c "cat < /dev/tcp/$a/$p" 2>/dev/null | grep -q hello && echo $a:$p) &
done; done; wait`
	list := strings.Trim(fmt.Sprint(ports), "[]")
	return s.sh("(" + fmt.Sprintf(script, strings.Join(targets, " "), list) + ") | sort").Stdout
}

// listen has a sandbox (of busybox) say hello on a port, and returns its address.
func (s *session) listen() string {
	s.t.Helper()
	s.terminal("listener").types("nc -ll -p 80 -e echo hello\r")
	eventually(s.t, patience, func() error {
		if got := s.sh("sleep 0.2 | nc 127.0.0.1 80").Stdout; got != "hello\n" {
			return fmt.Errorf("the neighbour's port says %q", got)
		}
		return nil
	})
	network := strings.TrimSpace(s.sh("ip -o -4 addr show dev eth0 | awk '{ print $4 }'").Stdout)
	ip, _, err := net.ParseCIDR(network)
	must(s.t, err)
	return ip.String()
}

func (n *notices) usage() quotas.Usage {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.used
}

// nameServer answers every question with the public address, on a port of the loopback.
func nameServer(t *testing.T) string {
	t.Helper()
	conn, err := net.ListenPacket("udp4", "127.0.0.1:0")
	must(t, err)
	started, ended := make(chan struct{}), make(chan error, 1)
	server := &dns.Server{PacketConn: conn, NotifyStartedFunc: func() { close(started) }, Handler: dns.HandlerFunc(
		func(w dns.ResponseWriter, q *dns.Msg) {
			a := new(dns.Msg).SetReply(q)
			if q.Question[0].Qtype == dns.TypeA {
				a.Answer = append(a.Answer, &dns.A{
					Hdr: dns.RR_Header{Name: q.Question[0].Name, Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: 60}, A: net.ParseIP(public),
				})
			}
			_ = w.WriteMsg(a)
		})}
	go func() { ended <- server.ActivateAndServe() }()
	<-started
	t.Cleanup(func() { must(t, server.Shutdown()); must(t, <-ended) })
	return conn.LocalAddr().String()
}
