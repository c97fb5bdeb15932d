package e2e_test

import "testing"

// room waits until a gigabyte of the disk is free: what a failed build has left is taken away at once.
const room = `room() { for i in $(seq 100); do [ $(df --output=avail / | tail -1) -gt 1000000 ] && echo room && return; sleep 0.1; done; df / ; }
`

// badBuilds are builds that want too much. See dockerCase.
var badBuilds = []dockerCase{
	{
		"a context that does not fit", room + `truncate -s 10G big; printf 'FROM scratch\nCOPY . /\n' >Dockerfile; docker build . >o 2>&1; echo $(($? != 0))
		grep -m1 -o 'no space left on device' o || tail -5 o; rm big; room; echo x >f && docker build -q . >/dev/null && echo built`,
		"1\nno space left on device\nroom\nbuilt",
	},
	{
		"a step that fills the disk", room + `printf 'FROM busybox\nRUN dd if=/dev/zero of=/f bs=1M count=4000\n' | docker build - >o 2>&1; echo $(($? != 0))
		grep -o 'No space left on device' o | head -1; room; printf 'FROM busybox\nRUN echo again >/a\nCMD cat /a\n' | docker build -q -t b1 - >/dev/null; docker run --rm b1`,
		"1\nNo space left on device\nroom\nagain",
	},
	{
		"more files than fit", room + `for i in $(seq 250); do mkdir -p d/$i; (cd d/$i; touch $(seq 400)); done; printf 'FROM scratch\nCOPY d /d\n' >Dockerfile; docker build . >o 2>&1; echo $(($? != 0))
		grep -q -e 'no space left on device' -e 'walker is closed' o && echo told || tail -5 o; rm -r d; sleep 1; mkdir d; touch d/$'new\nline'; docker build -q . >/dev/null && echo built`,
		"1\ntold\nbuilt",
	},
	{
		"ten thousand files", `for i in $(seq 100); do mkdir -p d/$i; (cd d/$i; touch $(seq 100)); done; printf 'FROM busybox\nCOPY d /d\nCMD find /d -type f | wc -l\n' >Dockerfile
		docker build -q -t b1 . >/dev/null; docker run --rm b1; docker build --progress=plain . 2>&1 | grep -c CACHED`,
		"10000\n1",
	},
	{
		"a step that never ends is cancelled", `cat >Dockerfile <<'E'
FROM busybox
RUN --mount=type=cache,id=beat,target=/c while :; do cat /proc/uptime >/c/next; mv /c/next /c/beat; echo beat; sleep 0.1; done
E
		docker build --progress=plain . >o 2>&1 & for i in $(seq 200); do grep -q '[0-9] beat' o && break; sleep 0.1; done; kill -INT $!; wait $!; echo $(($? != 0)); tail -1 o | grep -qi cancel && echo cancel
		printf 'FROM busybox\nRUN --mount=type=cache,id=beat,target=/c a=$(cat /c/beat); sleep 1; echo "$a, then $(cat /c/beat)"; [ "$a" ] && [ "$a" = "$(cat /c/beat)" ]\n' | docker build --progress=plain - >o 2>&1 && echo ended || tail -20 o`,
		"1\ncancel\nended",
	},
	{
		"a step that prints a gigabyte", `printf 'FROM busybox\nRUN yes much | head -c 1000000000; echo the end\n' | docker build --progress=plain - >o 2>&1; echo $?
		grep -c 'the end$' o; grep -o 'output clipped' o | head -1; [ $(wc -c <o) -lt 10000000 ] && echo bounded`,
		"0\n1\noutput clipped\nbounded",
	},
}

// TestBuildsThatWantTooMuch has each tell clearly why it failed, and leave a session that can be worked in.
func TestBuildsThatWantTooMuch(t *testing.T) { runBuildCases(t, badBuilds) }
