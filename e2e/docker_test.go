package e2e_test

import (
	"regexp"
	"strings"
	"testing"
)

// dockerEnvironments have room for images and containers.
const dockerEnvironments = `
environments:
  - name: debian
    title: Debian 12
    description: Debian bookworm, with apt, bash and the usual tools.
    image: debian
    limits: {cpus: 2, memory: 1GiB, pids: 1024, disk: 2GiB, inodes: 131072, terminals: 8}
    lifetime: 30m
    max_lifetime: 1h
    idle_timeout: 0s
`

// anyID is a container, image or network ID, whole or as docker shortens it.
var anyID = regexp.MustCompile(`\b(?:[0-9a-f]{64}|[0-9a-f]{12})\b`)

// matches compares what a script printed with what is wanted: see dockerCase.
func matches(got, want string) bool {
	got = anyID.ReplaceAllString(strings.TrimRight(strings.ReplaceAll(got, "\r\n", "\n"), "\n"), "ID")
	pattern := regexp.QuoteMeta(strings.TrimRight(want, "\n"))
	return regexp.MustCompile("^(?:" + strings.ReplaceAll(pattern, "…", ".*") + ")$").MatchString(got)
}

// TestDockerCommands types what a visitor types: the real docker CLI in the workspace, one session for all.
func TestDockerCommands(t *testing.T) {
	s := newServer(t, dockerEnvironments)
	s.start()
	id := string(s.open("debian").id)
	for _, c := range dockerCases {
		t.Run(c.name, func(t *testing.T) {
			got := s.berth(nil, "exec", id, "--", "timeout", "60", "bash", "-c", "exec 2>&1; "+c.script)
			if out := got.out + got.errs; !matches(out, c.want) {
				t.Errorf("%s\ngot:\n%s\nwant:\n%s", c.script, out, c.want)
			}
			left := s.berth(nil, "exec", id, "--", "sh", "-c", "docker ps -aq; docker volume ls -q; docker network ls -q --filter type=custom")
			if left.out != "" || left.code != 0 {
				t.Errorf("left behind: %q %s", left.out, left.errs)
				s.berth(nil, "exec", id, "--", "sh", "-c", "docker rm -fv $(docker ps -aq); docker volume rm $(docker volume ls -q); docker network prune -f")
			}
		})
	}
}

// TestTwoSessionsDoNotMeet has the same names in two sessions.
func TestTwoSessionsDoNotMeet(t *testing.T) {
	s := newServer(t, dockerEnvironments)
	s.start()
	a, b := string(s.open("debian").id), string(s.open("debian").id)
	for _, id := range []string{a, b} {
		got := s.berth(nil, "exec", id, "--", "sh", "-c", `docker run -d --name same -p 8000:80 busybox sleep 999 >/dev/null &&
			docker volume create same && docker network create same >/dev/null && docker tag busybox same:1`)
		if got.code != 0 {
			t.Fatalf("%+v", got)
		}
	}
	if got := s.berth(nil, "exec", a, "--", "sh", "-c", "docker rm -f same; docker volume rm same; docker network rm same; docker rmi same:1"); got.code != 0 {
		t.Fatalf("%+v", got)
	}
	got := s.berth(nil, "exec", b, "--", "sh", "-c", "docker ps --format '{{.Names}}'; docker volume ls -q; docker network ls -q -f name=same | wc -l; docker images -q same | wc -l")
	if want := "same\nsame\n1\n1\n"; got.out != want {
		t.Errorf("the other session has %q, want %q", got.out, want)
	}
}
