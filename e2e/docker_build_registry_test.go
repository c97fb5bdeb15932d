package e2e_test

import (
	"strings"
	"testing"
)

// buildRegistryCases are typed in one session in which a registry runs at localhost:5000, one after the other.
var buildRegistryCases = []dockerCase{
	{"--push", `echo secret | docker login -u me --password-stdin localhost:5000 >/dev/null 2>&1; printf 'FROM busybox\nRUN echo pushed >/f\nCMD cat /f\n' | docker build -q --push -t localhost:5000/app:1 - >/dev/null; docker rmi -f localhost:5000/app:1 >/dev/null 2>&1; docker run --rm -q localhost:5000/app:1; docker rmi localhost:5000/app:1 | head -1`, "pushed\nUntagged: localhost:5000/app:1"},
	{"docker push of what was built", `printf 'FROM busybox\nRUN echo two >/f\nCMD cat /f\n' | docker build -q -t localhost:5000/app:2 - >/dev/null; docker push -q localhost:5000/app:2; docker rmi localhost:5000/app:2 >/dev/null; docker run --rm -q localhost:5000/app:2; docker rmi localhost:5000/app:2 | head -1`, "localhost:5000/app:2\ntwo\nUntagged: localhost:5000/app:2"},
	{"FROM an image of a registry", `printf 'FROM localhost:5000/app:2\nRUN rm /etc/group; echo three >>/f\n' | docker build -q -t b1 - >/dev/null; docker run --rm b1; docker images -q localhost:5000/app | wc -l; docker save b1 -o s.tar; docker rmi b1 >/dev/null; docker load -q -i s.tar; docker run --rm b1 ls /etc/group 2>&1; docker rmi b1 | head -1`, "two\nthree\n0\nLoaded image: b1:latest\nls: /etc/group: No such file or directory\nUntagged: b1:latest"},
	{"--cache-to and --cache-from a registry", `printf 'FROM busybox AS a\nRUN head -c 8 /dev/urandom | md5sum >/r\nFROM busybox\nCOPY --from=a /r /r\nCMD cat /r\n' >Dockerfile; docker build -q --cache-to type=registry,ref=localhost:5000/cache,mode=max -t b1 . >/dev/null; docker run --rm b1 >one; docker rmi b1 >/dev/null; docker builder prune -af >/dev/null; docker build -q --cache-from type=registry,ref=localhost:5000/cache -t b1 . >/dev/null; docker run --rm b1 | cmp - one && echo same; docker rmi b1 >/dev/null`, "same"},
	{"--cache-to and --cache-from a directory", `printf 'FROM busybox\nRUN head -c 8 /dev/urandom | md5sum >/r\nCMD cat /r\n' >Dockerfile; docker build -q --cache-to type=local,dest=c -t b1 . >/dev/null; docker run --rm b1 >one; docker rmi b1 >/dev/null; docker builder prune -af >/dev/null; docker build -q --cache-from type=local,src=c -t b1 . >/dev/null; docker run --rm b1 | cmp - one && echo same; docker rmi b1 >/dev/null`, "same"},
	{"inline cache", `printf 'FROM busybox\nRUN head -c 8 /dev/urandom | md5sum >/r\nCMD cat /r\n' >Dockerfile; docker build -q --push --cache-to type=inline -t localhost:5000/inline . >/dev/null; docker run --rm localhost:5000/inline >one; docker rmi localhost:5000/inline >/dev/null; docker builder prune -af >/dev/null; docker build -q --cache-from localhost:5000/inline -t b1 . >/dev/null; docker run --rm b1 | cmp - one && echo same; docker rmi b1 >/dev/null`, "same"},
	{"classic, from a registry with a password", `printf 'FROM localhost:5000/app:1\nRUN cat /f\n' | DOCKER_BUILDKIT=0 docker build - 2>/dev/null | grep pushed`, "pushed"},
	{"without a login", `docker logout localhost:5000 >/dev/null; printf 'FROM localhost:5000/app:nope\n' | docker build - 2>&1 | grep -oE '401 Unauthorized|no basic auth credentials|authorization failed' | head -1`, "…"},
}

// TestDockerBuildRegistry builds from a registry in the session, and to it.
func TestDockerBuildRegistry(t *testing.T) {
	archive := registryImage(t)
	s := newServer(t, dockerEnvironments)
	s.start()
	id := string(s.open("debian").id)
	run := func(script string) string {
		got := s.berth(nil, "exec", id, "--", "timeout", "100", "bash", "-c", "exec 2>&1; rm -rf /root/b; mkdir /root/b; cd /root/b; "+script)
		return got.out + got.errs
	}
	if got := s.berth(nil, "docker", id, "--", "import", "-c", `CMD ["/usr/bin/docker-registry","serve","/etc/registry.yml"]`, archive, "registry:2"); got.code != 0 {
		t.Fatalf("%+v", got)
	}
	if out := run(`docker run -d --name registry -p 5000:5000 registry:2 && for i in $(seq 50); do (echo >/dev/tcp/127.0.0.1/5000) 2>/dev/null && exit; sleep 0.1; done; docker logs registry`); strings.Count(out, "\n") != 1 {
		t.Fatalf("the registry does not start: %s", out)
	}
	for _, c := range buildRegistryCases {
		t.Run(c.name, func(t *testing.T) {
			if out := run(c.script); !matches(out, c.want) {
				t.Errorf("%s\ngot:\n%s\nwant:\n%s", c.script, out, c.want)
			}
		})
	}
}
