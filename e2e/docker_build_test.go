package e2e_test

import (
	"strings"
	"testing"
)

// buildCases are builds that a visitor types: see dockerCase. Each runs in an empty directory. plain is `docker build` with its
// progress as text.
var buildCases = []dockerCase{
	{
		"three steps", `echo hello >f; printf 'FROM busybox\nRUN echo built >/x\nCOPY f /y\nCMD ["cat","/x","/y"]\n' >Dockerfile
		docker build -q -t b1 . >/dev/null; docker run --rm b1; docker images -q b1 | wc -l; docker inspect -f '{{len .RootFS.Layers}} {{.Config.Cmd}}' b1`,
		"built\nhello\n1\n3 [cat /x /y]",
	},
	{"the ID that is told is the image's", `printf 'FROM busybox\nRUN true\n' >Dockerfile; docker build -q --iidfile id . >q; cmp -s q id || [ "$(cat q)" = "$(cat id)" ] && docker run --rm $(cat id) echo ran`, "ran"},
	{"multi-stage", `cat >Dockerfile <<'E'
FROM busybox AS one
RUN echo 1 >/one
FROM busybox AS two
RUN echo 2 >/two
FROM busybox AS unused
RUN exit 9
FROM scratch AS files
COPY --from=one /one /
COPY --from=two /two /
FROM busybox
COPY --from=files / /
RUN cat /one /two >/all
CMD cat /all
E
		docker build -q -t b1 . >/dev/null && docker run --rm b1`, "1\n2"},
	{"stages run side by side", `cat >Dockerfile <<'E'
FROM busybox AS a
RUN --mount=type=cache,id=meet,target=/m touch /m/a; for i in $(seq 100); do [ -e /m/b ] && exit 0; sleep 0.1; done; exit 1
FROM busybox AS b
RUN --mount=type=cache,id=meet,target=/m touch /m/b; for i in $(seq 100); do [ -e /m/a ] && exit 0; sleep 0.1; done; exit 1
FROM busybox
COPY --from=a /etc/passwd /a
COPY --from=b /etc/passwd /b
E
		docker build -q . >/dev/null; echo $?`, "0"},
	{"heredocs", `cat >Dockerfile <<'E'
FROM busybox
RUN <<X
echo one >/f
echo two >>/f
X
COPY <<-Y /g
	three
Y
RUN cat /f /g >/h
CMD ["cat","/h"]
E
		docker build -q -t b1 . >/dev/null && docker run --rm b1`, "one\ntwo\nthree"},
	{"RUN --mount=type=cache", `cat >Dockerfile <<'E'
FROM busybox
ARG N
RUN --mount=type=cache,target=/c echo $N >>/c/f; cat /c/f >/all
CMD ["cat","/all"]
E
		docker build -q --build-arg N=1 . >/dev/null; docker build -q --build-arg N=2 -t b1 . >/dev/null; docker run --rm b1`, "1\n2"},
	{"RUN --mount=type=secret", `echo hidden >s; cat >Dockerfile <<'E'
FROM busybox
RUN --mount=type=secret,id=s cat /run/secrets/s >/seen; ls -l /run/secrets/s | cut -c1-10 >>/seen
RUN ls /run/secrets 2>/dev/null | wc -l >>/seen
CMD ["cat","/seen"]
E
		docker build -q --secret id=s,src=s -t b1 . >/dev/null; docker run --rm b1`, "hidden\n-r--------\n0"},
	{"a secret that is not given", `printf 'FROM busybox\nRUN --mount=type=secret,id=nope,required=true true\n' >Dockerfile; docker build . 2>&1 | grep -c 'secret nope: not found'`, "…"},
	{"RUN --mount=type=bind", `mkdir d; echo mine >d/f; cat >Dockerfile <<'E'
FROM busybox AS other
RUN echo theirs >/t
FROM busybox
RUN --mount=type=bind,source=d,target=/d --mount=type=bind,from=other,source=/t,target=/o cat /d/f /o >/seen; touch /d/f 2>/dev/null || echo read-only >>/seen
RUN --mount=type=bind,source=d,target=/d,rw echo lost >/d/f && cat /d/f >>/seen
CMD ["cat","/seen"]
E
		docker build -q -t b1 . >/dev/null; docker run --rm b1; cat d/f`, "mine\ntheirs\nread-only\nlost\nmine"},
	{"RUN --mount=type=tmpfs", `cat >Dockerfile <<'E'
FROM busybox
RUN --mount=type=tmpfs,target=/t,size=1m grep ' /t tmpfs' /proc/mounts | grep -o size=1024k >/seen; echo >/t/gone
RUN ls /t | wc -l >>/seen
CMD ["cat","/seen"]
E
		docker build -q -t b1 . >/dev/null; docker run --rm b1`, "size=1024k\n0"},
	{"--build-arg and ARG before FROM", `cat >Dockerfile <<'E'
ARG BASE=nope
FROM $BASE
ARG A=1
ARG B=2
ENV C=$A$B
CMD echo $C
E
		docker build -q --build-arg BASE=busybox --build-arg B=7 -t b1 . >/dev/null; docker run --rm b1`, "17"},
	{"--target", `printf 'FROM busybox AS a\nCMD echo a\nFROM busybox AS b\nRUN exit 3\n' >Dockerfile; docker build -q --target a -t b1 . >/dev/null; docker run --rm b1; docker build --target c . 2>&1 | grep -o 'target stage "c" could not be found'`, "a\ntarget stage \"c\" could not be found"},
	{
		"what is unchanged is cached, by its content", `echo 1 >f; printf 'FROM busybox\nRUN echo x\nCOPY f /f\nRUN cat /f\n' >Dockerfile
		docker build -q . >/dev/null; touch -d 2001-01-01 f; docker build --progress=plain . 2>&1 | grep -c CACHED; echo 2 >f; docker build --progress=plain . 2>&1 | grep -c CACHED; docker build --no-cache --progress=plain . 2>&1 | grep -c CACHED`,
		"3\n1\n1",
	}, // the base image, too, unless it is in use: it is not asked for where what stands on it is cached
	{"RUN is cached by its text", `printf 'FROM busybox\nRUN echo text\n' >Dockerfile; docker build -q . >/dev/null; printf 'FROM busybox\nRUN echo other\n' >Dockerfile; docker build --progress=plain . 2>&1 | grep -c CACHED; printf 'FROM busybox\nRUN echo text\n' >Dockerfile; docker build --progress=plain . 2>&1 | grep -c CACHED`, "1\n1"},
	{".dockerignore", `mkdir d; touch a b d/c; printf 'a\n**/c\n' >.dockerignore; printf 'FROM busybox\nCOPY . /ctx\nCMD find /ctx -type f | sort | xargs\n' >Dockerfile; docker build -q -t b1 . >/dev/null; docker run --rm b1`, "/ctx/.dockerignore /ctx/Dockerfile /ctx/b"},
	{"ADD of archives", `mkdir t; echo in >t/f; tar cf a.tar t; tar czf b.tar.gz t; tar cjf c.tar.bz2 t 2>/dev/null || cp a.tar c.tar.bz2; gzip -k -c t/f >f.gz
		printf 'FROM busybox\nADD a.tar /a/\nADD b.tar.gz /b/\nADD c.tar.bz2 /c/\nADD f.gz /f.gz\nCMD cat /a/t/f /b/t/f /c/t/f; ls /f.gz\n' >Dockerfile; docker build -q -t b1 . >/dev/null; docker run --rm b1`, "in\nin\nin\n/f.gz"},
	{"ADD of an archive that is compressed with xz", `echo /Td6WFoAAATm1rRGAgAhARwAAAAQz1jM4Cf/AHFdADoLvBunjDRE4cIHdej848CShJTXnC5NqNR3dTetET++vzs1S6cROjIH9VSRuLa7suY/yDnC1AQZZm5O4x6YHCTvXBWdvkE7dzTd75x76mmaqAJIVa41l4rcqbzMPOIaVn1S8VTWV3WA60ptS3DSNnBOAAAAAL831UamqqWpAAGNAYBQAADgYv7dscRn+wIAAAAABFla | base64 -d >a.tar.xz; mkdir d; cp a.tar.xz d/b.txz
		printf 'FROM busybox\nADD a.tar.xz /a/\nADD d/*.txz a.tar.* /b/\nCOPY a.tar.xz /c\nCMD cat /a/t/f /b/t/f; head -c5 /c | tail -c4\n' >Dockerfile; docker build -q -t b1 . >/dev/null; docker run --rm b1; docker import a.tar.xz b2 >/dev/null; docker run --rm b2 nothing 2>/dev/null; docker create --name c1 b2 x >/dev/null; docker cp -q c1:/t/f -  | tar xO; docker rm c1`, "in\nin\n7zXZin\nc1"},
	{"ADD of a URL", `mkdir w; echo served >w/f; docker run -d --name web -v $PWD/w:/w busybox httpd -f -p 8000 -h /w >/dev/null; ip=$(docker inspect -f '{{.NetworkSettings.Networks.bridge.IPAddress}}' web)
		printf "FROM busybox\nADD http://$ip:8000/f /f\nCMD cat /f\n" >Dockerfile; for i in $(seq 30); do curl -sf http://$ip:8000/f >/dev/null && break; sleep 0.1; done; docker build -q -t b1 . >/dev/null; docker run --rm b1; docker rm -f web`, "served\nweb"},
	{"--output type=local", `printf 'FROM busybox AS b\nRUN echo out >/o\nFROM scratch\nCOPY --from=b /o /dir/o\n' >Dockerfile; docker build -q --output out . >/dev/null; cat out/dir/o`, "out"},
	{"--output type=tar", `printf 'FROM busybox AS b\nRUN echo out >/o\nFROM scratch\nCOPY --from=b /o /dir/o\n' >Dockerfile; docker build -q --output type=tar,dest=o.tar . >/dev/null; tar tf o.tar; docker build -q -o - . | tar xO dir/o`, "dir/\ndir/o\nout"},
	{"--output type=docker and oci", `printf 'FROM busybox\nRUN echo x >/x\n' >Dockerfile; docker build -q --output type=docker,dest=d.tar -t b1 . >/dev/null; docker load -q -i d.tar; docker run --rm b1 cat /x; docker build -q --output type=oci,dest=o.tar . >/dev/null; tar tf o.tar | grep -c '^index.json$'`, "Loaded image: b1:latest\nx\n1"},
	{"--progress=plain", `printf 'FROM busybox\nRUN echo said; echo told >&2\n' >Dockerfile; docker build --no-cache --progress=plain . 2>&1 | grep -oE '(said|told)$' | sort -u`, "said\ntold"},
	{"--check", `printf 'FROM busybox as a\nCMD echo x\n' >Dockerfile; docker build --check . 2>&1 | grep -oE 'JSONArgsRecommended|FromAsCasing' | sort -u; docker images -q | wc -l >n; docker build --call=targets . 2>&1 | grep -o '^a'`, "FromAsCasing\nJSONArgsRecommended\na"},
	{"--call=outline", `printf 'ARG V=1\nFROM busybox\nARG W=2\nRUN --mount=type=secret,id=s true\n' >Dockerfile; docker build --call=outline . 2>&1 | grep -oE '^(W|s) '`, "W \ns "},
	{"Dockerfile from standard input", `printf 'FROM busybox\nCMD echo stdin\n' | docker build -q -t b1 - >/dev/null; docker run --rm b1; echo x >f; printf 'FROM busybox\nCOPY f /f\nCMD cat /f\n' | docker build -q -t b1 -f - . >/dev/null; docker run --rm b1`, "stdin\nx"},
	{"context from standard input", `printf 'FROM busybox\nCOPY f /f\nCMD cat /f\n' >Dockerfile; echo tar >f; tar c . | docker build -q -t b1 - >/dev/null; docker run --rm b1`, "tar"},
	{"--build-context", `mkdir o; echo other >o/f; printf 'FROM busybox\nCOPY --from=o /f /f\nCMD cat /f\n' >Dockerfile; docker build -q --build-context o=o -t b1 . >/dev/null; docker run --rm b1`, "other"},
	{"an image that was built is a base", `printf 'FROM busybox\nRUN echo base >/b\nENV E=kept\n' | docker build -q -t base1 - >/dev/null; printf 'FROM base1\nRUN echo top >>/b\nCMD echo $E; cat /b\n' | docker build -q -t b1 - >/dev/null; docker run --rm b1; docker save b1 | tar t | grep -c blobs/sha256/; docker rmi -f base1 >/dev/null; docker run --rm b1 cat /b`, "kept\nbase\ntop\n5\nbase\ntop"},
	{"commit of a container of a built image", `printf 'FROM busybox\nRUN echo b >/b\n' | docker build -q -t b1 - >/dev/null; docker run --name c1 b1 sh -c 'echo c >/c'; docker commit c1 b2 >/dev/null; docker run --rm b2 cat /b /c; docker rm c1`, "b\nc\nc1"},
	{"USER WORKDIR COPY --chown --chmod", `echo x >f; printf 'FROM busybox\nRUN echo me:x:1000:1000::/home/me:/bin/sh >>/etc/passwd; echo me:x:1000: >>/etc/group\nUSER me\nWORKDIR /home/me/w\nRUN pwd >p; id -un >>p\nCOPY --chown=me --chmod=640 f .\nCMD cat p; stat -c "%%U %%a" f\n' >Dockerfile; docker build -q -t b1 . >/dev/null; docker run --rm b1`, "/home/me/w\nme\nme 640"},
	{"COPY --link and --exclude", `mkdir d; touch d/a d/b.o; printf 'FROM busybox\nRUN echo below >/l\nCOPY --link --exclude=*.o d /d\nCMD ls /d; cat /l\n' >Dockerfile; docker build -q -t b1 . >/dev/null; docker run --rm b1; docker save b1 | tar t >/dev/null; echo $?`, "a\nbelow\n0"},
	{"files removed and replaced", `printf 'FROM busybox\nRUN mkdir /d && touch /d/a /d/b\nRUN rm /d/a\nRUN rm -r /d && mkdir /d && touch /d/c\nCMD ls /d\n' >Dockerfile; docker build -q -t b1 . >/dev/null; docker run --rm b1; docker save b1 -o s.tar; docker rmi b1 >/dev/null; docker load -q -i s.tar; docker run --rm b1`, "c\nLoaded image: b1:latest\nc"},
	{"--label --tag twice", `printf 'FROM busybox\n' >Dockerfile; docker build -q --label a=b -t b1 -t b1:two . >/dev/null; docker images --format '{{.Tag}}' b1 | sort | xargs; docker inspect -f '{{.Config.Labels.a}}' b1; sleep 1.1; docker events --since 20s --until 0s --filter type=image --filter event=tag --format '{{.Actor.Attributes.name}}' | grep '^b1:' | sort -u | xargs`, "latest two\nb\nb1:latest b1:two"},
	{"a tag moves", `printf 'FROM busybox\nRUN echo 1 >/n\n' | docker build -q -t b1 - >one; printf 'FROM busybox\nRUN echo 2 >/n\n' | docker build -q -t b1 - >/dev/null; docker run --rm b1 cat /n; docker run --rm $(cat one) cat /n; docker images -q -f dangling=true | wc -l; docker image prune -f >/dev/null`, "2\n1\n1"},
	{"--network", `printf 'FROM busybox\nRUN ip -o link | wc -l\n' >Dockerfile; for n in none default host; do docker build --no-cache --progress=plain --network=$n . 2>&1 | grep -oE '^#[0-9]+ [0-9.]+ [0-9]+$' | sed 's/.* //; s/^[2-9]$/more/'; done`, "1\nmore\nmore"},
	{"--add-host and --ulimit and --shm-size", `printf 'FROM busybox\nRUN grep db /etc/hosts; ulimit -n; df -m /dev/shm | tail -1 | cut -c21-40 | xargs\n' >Dockerfile; docker build --progress=plain --add-host db:10.9.8.7 --ulimit nofile=300:300 --shm-size 32m . 2>&1 | grep -oE '10.9.8.7.*db|[0-9.]+ 300$|^[#0-9. ]* 32 ' | sed 's/.*300/300/; s/\t/ /; s/.* 32 /32/'`, "10.9.8.7 db\n300\n32"},
	{"RUN --network=none and --security", `printf 'FROM busybox\nRUN --network=none ip -o link | wc -l >/n\nCMD cat /n\n' >Dockerfile; docker build -q -t b1 . >/dev/null; docker run --rm b1; printf '# syntax=docker/dockerfile:1-labs\nFROM busybox\nRUN --security=insecure mkdir /m; mount -t tmpfs none /m && umount /m && rmdir /m && echo mounted >/m\nCMD cat /m\n' >Dockerfile; docker buildx build -q --allow security.insecure -t b1 . >/dev/null; docker run --rm b1; docker build . 2>&1 | grep -c 'security.insecure is not allowed'`, "1\nmounted\n…"},
	{"a step has no more than a container", `printf 'FROM busybox\nRUN grep CapBnd /proc/self/status; mount -t tmpfs none /mnt 2>&1; ls /proc/kcore -l >/dev/null; head -c1 /proc/kcore | wc -c; cat /proc/self/oom_score_adj; hostname\n' >Dockerfile; docker build --progress=plain . 2>&1 | grep -oE 'CapBnd:.*|mount: .*|[0-9.]+ 0$|[0-9.]+ 500$|buildkitsandbox' | sed 's/^[0-9.]* //'`, "CapBnd:\t00000000a80425fb\nmount: permission denied (are you root?)\n0\n500\nbuildkitsandbox"},
	{"names are resolved in a step", `printf 'FROM busybox\nRUN cat /etc/resolv.conf\nRUN ls -l /etc/resolv.conf | cut -c1-4; ls /etc/hosts\n' >Dockerfile; docker build --progress=plain -t b1 . 2>&1 | grep -c nameserver; docker run --rm --entrypoint ls $(docker build -q .) -A /etc | grep -c resolv`, "…\n1"},
	{"bake", `cat >docker-bake.hcl <<'E'
group "default" { targets = ["a", "b"] }
variable "V" { default = "1" }
target "a" {
  dockerfile-inline = "FROM busybox\nARG V\nRUN echo a$V >/v\nCMD cat /v"
  args = { V = V }
  tags = ["ba"]
}
target "b" {
  inherits = ["a"]
  tags = ["bb"]
  args = { V = "2" }
}
E
		docker buildx bake >o 2>&1 || cat o; docker run --rm ba; docker run --rm bb; docker rmi -f ba bb >/dev/null`, "a1\na2"},
	{"compose build and up --build", `mkdir app; printf 'FROM busybox\nARG W\nENV W=$W\nCMD echo up $W\n' >app/Dockerfile; cat >compose.yaml <<'E'
services:
  app:
    build: {context: app, args: {W: one}}
E
		docker compose build -q >/dev/null 2>&1; docker compose run --rm -q app 2>/dev/null; sed -i s/one/two/ compose.yaml; docker compose up --build 2>/dev/null | grep -o 'up two'; docker compose down --rmi all >/dev/null 2>&1; docker images -q | wc -l >/dev/null`, "up one\nup two"},
	{"# syntax is built in", `for s in docker/dockerfile docker/dockerfile:1 docker/dockerfile:1.7-labs docker.io/docker/dockerfile:1@sha256:e87caa74dcb7d46cd820352bfea12591f3dba3ddc4285e19c7dcd13359f7cefd docker/dockerfile-upstream:master; do printf "# syntax=$s\nFROM busybox\nRUN echo $s\n" | docker build -q - >/dev/null && echo ok; done`, "ok\nok\nok\nok\nok"},
	{"another frontend", `printf '# syntax=r2d4/mocker\napi: v1\n' | docker build - 2>&1 | grep -o 'the frontend "r2d4/mocker" cannot be used in this playground' | head -1`, "the frontend \"r2d4/mocker\" cannot be used in this playground"},
	{"a step that fails", `printf 'FROM busybox\nRUN echo before; exit 7\n' >Dockerfile; docker build . >o 2>&1; echo $?; grep -o 'exit code: 7' o | head -1; grep -c 'Dockerfile:2' o; printf 'FROM busybox\nRUN nope-nope\n' | docker build - 2>&1 | grep -o 'exit code: 127' | head -1`, "1\nexit code: 7\n1\nexit code: 127"},
	{"an exec form that is not there", `printf 'FROM busybox\nRUN ["/no/such"]\n' | docker build - 2>&1 | grep -oE 'exec: "/no/such": .*no such file or directory' | head -1`, "exec: \"/no/such\": stat /no/such: no such file or directory"},
	{"an unknown instruction", `printf 'FROM busybox\nRUNN x\n' | docker build - 2>&1 | grep -o 'unknown instruction: RUNN' | head -1`, "unknown instruction: RUNN"},
	{"an empty Dockerfile", `: >Dockerfile; docker build . 2>&1 | tail -1; printf '# nothing\n' | docker build - 2>&1 | tail -1`, "ERROR: failed to build: failed to solve: the Dockerfile cannot be empty\nERROR: failed to build: failed to solve: …"},
	{"no Dockerfile", `docker build . 2>&1 | grep -o 'no such file or directory' | head -1`, "no such file or directory"},
	{"cyclic stages", `printf 'FROM busybox AS a\nCOPY --from=b /x /x\nFROM busybox AS b\nCOPY --from=a /x /x\n' | docker build - 2>&1 | grep -oE 'circular dependency detected on stage: .' | head -1`, "circular dependency detected on stage: …"},
	{"a base image that is not there", `printf 'FROM localhost:1/nope\n' | docker build - >o 2>&1; echo $?; grep -oE 'localhost:1/nope' o | head -1`, "1\nlocalhost:1/nope"},
	{"--pull where no registry answers", `printf 'FROM busybox\nCMD echo own\n' | docker build -q --pull -t b1 - >/dev/null; docker run --rm b1`, "own"},
	{"links out of the context", `ln -s /etc/passwd l; ln -s ../../../../etc d; printf 'FROM busybox\nCOPY l /l\nCOPY d/shadow /s\n' >Dockerfile; docker build . 2>&1 | grep -oE '"/d/shadow": not found|d/shadow.*not found' | head -1; printf 'FROM busybox\nCOPY ../x /x\n' | docker build -f - . 2>&1 | grep -oE '"/x": not found' | head -1`, "\"/d/shadow\": not found\n\"/x\": not found"},
	{
		"classic", `echo hi >f; cat >Dockerfile <<'E'
FROM busybox AS a
RUN echo a >/a
FROM busybox
ENV X=1
WORKDIR /w
COPY --from=a /a .
COPY f .
RUN cat a f; echo done
CMD ["cat","f"]
E
		export DOCKER_BUILDKIT=0; docker build -t b1 . 2>/dev/null; docker build -t b1 . 2>/dev/null | grep -c 'Using cache'; docker run --rm b1; [ "$(docker build -q . 2>/dev/null)" = "$(docker inspect -f '{{.Id}}' b1)" ] && echo same`,
		"Sending build context to Docker daemon  …\nStep 1/9 : FROM busybox AS a\n ---> ID\nStep 2/9 : RUN echo a >/a\n ---> Running in ID\n ---> ID\nStep 3/9 : FROM busybox\n ---> ID\n" +
			"Step 4/9 : ENV X=1\n ---> ID\nStep 5/9 : WORKDIR /w\n ---> Running in ID\n ---> ID\nStep 6/9 : COPY --from=a /a .\n ---> Running in ID\n ---> ID\nStep 7/9 : COPY f .\n ---> Running in ID\n ---> ID\n" +
			"Step 8/9 : RUN cat a f; echo done\n ---> Running in ID\na\nhi\ndone\n ---> ID\nStep 9/9 : CMD [\"cat\",\"f\"]\n ---> ID\nSuccessfully built ID\nSuccessfully tagged b1:latest\n5\nhi\nsame",
	},
	{"classic, failing", `export DOCKER_BUILDKIT=0; printf 'FROM busybox\nRUN exit 5\n' | docker build - 2>&1 | tail -1; printf 'FROM busybox\nRUN exit 5\n' | docker build - >/dev/null 2>&1; echo $?; printf 'FROM busybox\nFOO x\n' | docker build - 2>&1 | grep -o 'unknown instruction: FOO'; printf 'FROM busybox\n' | docker build --security-opt x=y - 2>&1 | grep -o 'securityopt is not supported in this playground'`, "The command '/bin/sh -c exit 5' returned a non-zero code: 5\n5\nunknown instruction: FOO\nsecurityopt is not supported in this playground"},
	{"classic, from elsewhere", `mkdir w; printf 'FROM busybox\nCMD echo far\n' >w/Dockerfile; tar czf w/c.tar.gz -C w Dockerfile; docker run -d --name web -v $PWD/w:/w busybox httpd -f -p 8000 -h /w >/dev/null; ip=$(docker inspect -f '{{.NetworkSettings.Networks.bridge.IPAddress}}' web); for i in $(seq 30); do curl -sf http://$ip:8000/Dockerfile >/dev/null && break; sleep 0.1; done
		for k in 0 1; do for u in Dockerfile c.tar.gz; do DOCKER_BUILDKIT=$k docker build -q -t b1 http://$ip:8000/$u >/dev/null 2>&1; docker run --rm b1; docker rmi b1 >/dev/null; done; done; docker rm -f web`, "far\nfar\nfar\nfar\nweb"},
	{"cancelled", `printf 'FROM busybox\nRUN --mount=type=cache,target=/c sleep 1000\n' >Dockerfile; running() { docker network inspect bridge -f '{{len .Containers}}'; }
		for k in 1 0; do DOCKER_BUILDKIT=$k docker build . >o 2>&1 & p=$!; for i in $(seq 100); do [ $(running) = 1 ] && break; sleep 0.1; done; running; kill -INT $p; wait $p; [ $? != 0 ] && echo ended; for i in $(seq 100); do [ $(running) = 0 ] && break; sleep 0.1; done; running; done
		docker builder prune -af >/dev/null; docker buildx du | grep -c true`, "1\nended\n0\n1\nended\n0\n0"},
	{"the client is killed", `printf 'FROM busybox\nRUN sleep 1000\n' >Dockerfile; running() { docker network inspect bridge -f '{{len .Containers}}'; }
		docker build . >o 2>&1 & p=$!; disown $p; for i in $(seq 100); do [ $(running) = 1 ] && break; sleep 0.1; done; running; kill -9 $p $(pgrep -x docker-buildx); for i in $(seq 100); do [ $(running) = 0 ] && break; sleep 0.1; done; running`, "1\n0"},
	{"a git repository", `docker build https://github.com/docker/welcome.git 2>&1 | grep -o 'git repositories is not supported in this playground' | head -1`, "git repositories is not supported in this playground"},
	{"a Dockerfile of a megabyte", `(echo FROM busybox; head -c 1000000 /dev/zero | tr '\0' '#' | fold -w 100) >Dockerfile; docker build -q . >/dev/null; echo $?`, "0"},
	{"a step that says much", `printf 'FROM busybox\nRUN yes | head -c 30000000\n' | docker build --progress=plain - >o 2>&1; echo $?; grep -oE 'output clipped' o | head -1`, "0\noutput clipped"},
	{"a step out of memory", `printf 'FROM busybox\nRUN tail /dev/zero\n' | docker build - 2>&1 | grep -oE 'cannot allocate memory|exit code: 137' | sort -u | tail -1; docker run --rm busybox echo alive`, "…\nalive"},
	{"a disk that is full", `printf 'FROM busybox\nRUN dd if=/dev/zero of=/f bs=1M count=4000\n' | docker build - 2>&1 | grep -o 'No space left on device' | head -1; docker builder prune -af >/dev/null; printf 'FROM busybox\nRUN echo again >/a\nCMD cat /a\n' | docker build -q -t b1 - >/dev/null; docker run --rm b1`, "No space left on device\nagain"},
}

// pruneCases take away images that other cases need: they have a session of their own.
var pruneCases = []dockerCase{
	{"buildx du and prune", `printf 'FROM busybox\nRUN dd if=/dev/urandom of=/r bs=1M count=5 2>/dev/null; rm /r; dd if=/dev/urandom of=/s bs=1M count=3 2>/dev/null\n' | docker build -q - >/dev/null; docker buildx du | grep -c ' 3.1[0-9]*MB'; docker image prune -af >/dev/null; docker system df --format '{{.Type}} {{.Size}}' | grep 'Build Cache' | grep -vc ' 0B'; docker builder prune -af | tail -1 | grep -vc '0B$'; docker system df --format '{{.Size}}' | sort -u; docker buildx du | tail -1`, "1\n1\n1\n0B\nTotal:…0B"},
	{"system prune", `printf 'FROM busybox\nRUN echo x >/x\n' | docker build -q - >/dev/null; docker system prune -af >/dev/null; docker images -q | wc -l; docker buildx du | tail -1`, "0\nTotal:…0B"},
}

// TestDockerBuildPrune removes what builds have left.
func TestDockerBuildPrune(t *testing.T) { runBuildCases(t, pruneCases) }

// TestDockerBuild builds as a visitor does: the real docker CLI and buildx in the workspace, one session for all.
func TestDockerBuild(t *testing.T) { runBuildCases(t, buildCases) }

func runBuildCases(t *testing.T, cases []dockerCase) {
	s := newServer(t, dockerEnvironments)
	s.start()
	id := string(s.open("debian").id)
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got := s.berth(nil, "exec", id, "--", "timeout", "120", "bash", "-c",
				"exec 2>&1; rm -rf /root/b; mkdir /root/b; cd /root/b; "+c.script)
			if out := got.out + got.errs; !matches(out, c.want) {
				t.Errorf("%s\ngot:\n%s\nwant:\n%s", c.script, out, c.want)
			}
			left := s.berth(nil, "exec", id, "--", "sh", "-c",
				"for i in b1 b2 base1 b1:two; do docker rmi -f $i; done >/dev/null 2>&1; docker image prune -f >/dev/null; docker ps -aq; docker volume ls -q")
			if strings.TrimSpace(left.out) != "" {
				t.Errorf("left behind: %q", left.out)
				s.berth(nil, "exec", id, "--", "sh", "-c", "docker rm -fv $(docker ps -aq)")
			}
		})
	}
}
