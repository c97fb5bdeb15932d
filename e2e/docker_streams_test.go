package e2e_test

import "testing"

// streamCases are about what goes in and out of containers: streams, logs, files, terminals.
var streamCases = []dockerCase{
	{"100 MB through exec come back", `docker run -d --name a1 busybox sleep 99 >/dev/null; head -c 100000000 /dev/urandom >/tmp/big; docker exec -i a1 cat </tmp/big | cmp - /tmp/big && echo same; docker rm -f a1`, "same\na1"},
	{"100 MB through run come back", `docker run -i --rm busybox cat </tmp/big | cmp - /tmp/big && echo same; rm /tmp/big`, "same"},
	{"input that is not read", `yes | head -c 10000000 | docker run -i --rm busybox echo bye; echo $?`, "bye\n0"},
	{"both outputs stay apart", `docker run --rm busybox sh -c 'echo out; echo err >&2' 2>/tmp/err; cat /tmp/err; rm /tmp/err`, "out\nerr"},
	{"a child in the background", `docker run -d --name a1 busybox sleep 99 >/dev/null; docker exec a1 sh -c 'sleep 50 & echo hi'; docker rm -f a1`, "hi\na1"},
	{"a client that reads no further", `docker run -d --name a1 busybox sh -c 'i=0; while [ $i -lt 20000 ]; do echo line $i; i=$((i+1)); done; echo end; sleep 99' >/dev/null; docker logs -f a1 | head -1; for i in $(seq 100); do docker logs --tail 1 a1 | grep end && break; sleep 0.1; done; docker rm -f a1`, "line 0\nend\na1"},
	{"first size of a terminal", `for i in $(seq 10); do script -qec 'stty rows 33 cols 111; docker run -it --rm busybox sh -c "sleep 0.3; stty size"' /dev/null </dev/null; done | grep -o '33 111' | sort | uniq -c`, "     10 33 111"},
	{"first size of an exec's terminal", `docker run -d --name a1 busybox sleep 99 >/dev/null; for i in $(seq 10); do script -qec 'stty rows 33 cols 111; docker exec -it a1 stty size' /dev/null </dev/null; done | grep -o '33 111' | sort | uniq -c; docker rm -f a1`, "     10 33 111\na1"},
	{"detach keys", `docker run -dit --name a1 busybox cat >/dev/null; (sleep 1; printf 'ab'; sleep 0.5; printf '\020\021'; sleep 1) | script -qec 'docker attach a1' /dev/null >/tmp/typed; grep -c ab /tmp/typed; docker inspect -f '{{.State.Running}}' a1; docker rm -f a1; rm /tmp/typed`, "1\ntrue\na1"},
	{"start -a -i", `docker create -i --name a1 busybox sh -c 'cat; echo after' >/dev/null; echo typed | docker start -ai a1; docker rm a1`, "typed\nafter\na1"},
	{"attach sees what follows", `docker run -d --name a1 busybox sh -c 'sleep 1; echo late; exit 4' >/dev/null; docker attach a1; echo $?; docker rm a1`, "late\n4\na1"},
	{"logs of several runs", `docker run --name a1 busybox echo run >/dev/null; docker start -a a1 >/dev/null; docker logs a1; docker logs --tail 1 a1; docker rm a1`, "run\nrun\nrun\na1"},
	{"logs since and until", `docker run --name a1 busybox sh -c 'echo one; sleep 2; echo two' >/dev/null; t=$(docker logs -t a1 | tail -1 | cut -d' ' -f1); docker logs --since $t a1; docker logs --until $t a1 | head -1; docker logs --since 1h --until 30m a1; docker rm a1`, "two\none\na1"},
	{"logs of a long line", `docker run --name a1 busybox sh -c 'head -c 50000 /dev/zero | tr "\0" x; echo' | wc -c; docker logs a1 | wc -c; docker logs --tail 1 a1 | wc -c; docker rm a1`, "50001\n50001\n849\na1"},
	{"logs are rotated", `docker run --name a1 --log-opt max-size=20k --log-opt max-file=2 busybox seq 10000 >/dev/null; docker logs a1 | tail -1; [ $(docker logs a1 | wc -l) -lt 1000 ] && echo fewer; docker rm a1`, "10000\nfewer\na1"},
	{"logs --details", `docker run --name a1 --label tier=x -e A=b --log-opt labels=tier --log-opt env-regex=^A --log-opt tag={{.Name}} busybox echo hi >/dev/null; docker logs --details a1; docker rm a1`, "A=b,tag=a1,tier=x hi\na1"},
	{"no logs", `docker run --name a1 --log-driver none busybox echo hi; docker logs a1; docker rm a1`, "hi\nError response from daemon: configured logging driver does not support reading\na1"},
	{"cp to and from one that runs", `docker run -d --name a1 --tmpfs /t -v vol:/v busybox sleep 99 >/dev/null; echo x >/tmp/x; docker cp -q /tmp/x a1:/t; docker cp -q /tmp/x a1:/v/y; docker exec a1 cat /t/x /v/y; docker cp a1:/v/y - | tar xO; docker rm -f a1; docker volume rm vol; rm /tmp/x`, "x\nx\nx\na1\nvol"},
	{"cp to a volume of one that does not run", `docker create --name a1 -v vol:/v busybox >/dev/null; echo x >/tmp/x; docker cp -q /tmp/x a1:/v; docker run --rm -v vol:/v busybox cat /v/x; docker cp a1:/v - | tar t; docker rm a1; docker volume rm vol; rm /tmp/x`, "x\nv/\nv/x\na1\nvol"},
	{"cp to what is read-only", `echo x >/tmp/x; docker run -d --name a1 --read-only -v vol:/v:ro -v wol:/w busybox sleep 99 >/dev/null; docker cp /tmp/x a1:/; docker cp /tmp/x a1:/v; docker cp -q /tmp/x a1:/w; docker stop -t 0 a1; docker cp /tmp/x a1:/; docker cp /tmp/x a1:/v; docker cp -q /tmp/x a1:/w/y; docker rm a1; docker volume rm vol wol; rm /tmp/x`, "Error response from daemon: container rootfs is marked read-only\nError response from daemon: mounted volume is marked read-only\na1\nError response from daemon: container rootfs is marked read-only\nError response from daemon: mounted volume is marked read-only\na1\nvol\nwol"},
	{"cp keeps owners, modes and links", `mkdir -p /tmp/c/d && cd /tmp/c && echo x >f && chmod 751 f && chown 7:8 f && ln f g && ln -s f d/l; docker create --name a1 --user 5:6 busybox >/dev/null; docker cp -q /tmp/c a1:/; docker cp a1:/c - | tar tv | awk '{print $1,$2,$6,$7,$8,$9}' | sed 's/ *$//'; docker cp -aq /tmp/c/f a1:/h; docker cp a1:/h - | tar tv | awk '{print $1,$2}'; docker rm a1; rm -r /tmp/c`, "drwxr-xr-x 0/0 c/\ndrwxr-xr-x 0/0 c/d/\nlrwxrwxrwx 0/0 c/d/l -> f\n-rwxr-x--x 7/8 c/f\nhrwxr-x--x 7/8 c/g link to c/f\n-rwxr-x--x 5/6\na1"},
	{"cp goes where links of the container lead", `docker run -d --name a1 busybox sh -c 'mkdir /real; ln -s /real /link; ln -s /etc/passwd /p; sleep 99' >/dev/null; sleep 0.5; echo x >/tmp/x; docker cp -q /tmp/x a1:/link; docker exec a1 cat /real/x; docker cp a1:/p - | tar tv | grep -o 'p -> .*'; docker cp -L a1:/p - | tar xO | head -1; docker rm -f a1; rm /tmp/x`, "x\np -> /etc/passwd\nroot:x:0:0:root:/root:/bin/sh\na1"},
	{"cp of all leaves out what the kernel makes up", `docker run -d --name a1 busybox sleep 99 >/dev/null; docker cp a1:/ - | tar tP | grep -c '^/proc/.\|^/sys/.\|^/dev/pts/.\|^/dev/null'; docker cp a1:/ - | tar tP | grep -x /etc/passwd; docker rm -f a1`, "0\n/etc/passwd\na1"},
	{"export has hard links", `docker run --name a1 busybox sh -c 'echo x >/a; ln /a /b'; docker export a1 | tar tv | grep -o 'b link to a$'; docker rm a1`, "b link to a\na1"},
}

// TestDockerStreams types them in one session.
func TestDockerStreams(t *testing.T) {
	s := newServer(t, dockerEnvironments)
	s.start()
	id := string(s.open("debian").id)
	for _, c := range streamCases {
		t.Run(c.name, func(t *testing.T) {
			got := s.berth(nil, "exec", id, "--", "bash", "-c", "exec 2>&1; "+c.script)
			if out := got.out + got.errs; !matches(out, c.want) {
				t.Errorf("%s\ngot:\n%s\nwant:\n%s", c.script, out, c.want)
				s.berth(nil, "exec", id, "--", "sh", "-c", "docker rm -fv $(docker ps -aq); docker volume rm $(docker volume ls -q)")
			}
		})
	}
}
