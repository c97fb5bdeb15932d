package e2e_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
)

// application is a web server that asks its database, which has a volume and a health check, on a network of their own.
const application = `
services:
  web:
    image: busybox
    init: true
    command: sh -c 'mkdir /w; wget -qO /w/index.html http://db:9000/; exec httpd -f -h /w -p 80'
    ports: ["8080:80"]
    depends_on: {db: {condition: service_healthy}}
  db:
    image: busybox
    init: true
    command: sh -c 'echo rows >>/data/index.html; sleep 0.5; exec httpd -f -h /data -p 9000'
    volumes: ["data:/data"]
    healthcheck: {test: ["CMD-SHELL", "wget -qO- http://localhost:9000/"], interval: 200ms, retries: 50}
volumes: {data: {}}
`

// TestCompose brings an application up, reaches it through the port's own host name, and takes it down.
func TestCompose(t *testing.T) {
	s := newServer(t, dockerEnvironments)
	s.start()
	id := string(s.open("debian").id)
	in := func(script string) string {
		t.Helper()
		got := s.berth(nil, "exec", "-w", "/root/app", id, "--", "timeout", "60", "bash", "-c", script)
		if got.code != 0 {
			t.Fatalf("%s: %+v", script, got)
		}
		return got.out
	}
	if made := s.berth(strings.NewReader(application), "exec", "-i", id, "--", "sh", "-c", "mkdir /root/app; cat >/root/app/compose.yaml"); made.code != 0 {
		t.Fatalf("%+v", made)
	}
	for _, rows := range []string{"rows\n", "rows\nrows\n"} { // the second time the volume is there already
		in("docker compose up -d")
		if got := in(`docker compose ps --format '{{.Service}} {{.Health}}' | sort`); got != "db healthy\nweb \n" {
			t.Errorf("ps: %q", got)
		}
		eventually(t, patience, func() error {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.url+"/", nil)
			must(t, err)
			req.Host = fmt.Sprintf("8080-%s.localhost%s", id, s.url[strings.LastIndex(s.url, ":"):])
			res, err := http.DefaultClient.Do(req)
			must(t, err)
			defer func() { _ = res.Body.Close() }()
			b, err := io.ReadAll(res.Body)
			must(t, err)
			if string(b) != rows {
				return fmt.Errorf("%s: %q", res.Status, b)
			}
			return nil
		})
		if got := in("docker compose exec -T db cat /data/index.html; docker compose logs --no-log-prefix db"); got != rows {
			t.Errorf("exec and logs: %q", got)
		}
		in("docker compose down")
		if got := in("docker ps -aq; docker network ls -q -f type=custom; docker volume ls -q"); got != "app_data\n" {
			t.Errorf("left: %q", got)
		}
	}
	in("docker compose down -v")
	if got := in("docker volume ls -q"); got != "" {
		t.Errorf("left: %q", got)
	}
}
