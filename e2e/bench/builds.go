package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"berth/terminal/execstream"
)

const (
	buildRounds = 3 // how often each side has its turn
	buildTries  = 3 // samples in each turn
	firstBuilds = 5 // sessions whose first build is measured
	builderCost = 150 * time.Millisecond
)

// buildContext makes a directory with a build of five steps, and goes there. The argument N changes all of them.
const buildContext = `cd "$(mktemp -d)" && mkdir src && for i in $(seq 50); do head -c 4000 /dev/urandom >src/$i; done && cat >Dockerfile <<'E'
FROM busybox AS build
ARG N=1
RUN mkdir /app && for i in $(seq 200); do echo $N$i >/app/$i; done
COPY src /app/src
RUN cat /app/src/* | md5sum >/app/sum
FROM debian
COPY --from=build /app /app
RUN wc -l /app/sum && ls -R /app >/list
CMD ["cat", "/list"]
E
export DOCKER_BUILDKIT=1
build() { docker build -q -t bench "$@" . >/dev/null; }
`

var buildCommands = []command{
	{
		"docker build of 5 steps, cold", buildContext + "cold() { build --build-arg N=$(date +%s%N); }\n" +
			fmt.Sprintf("for j in $(seq %d); do docker builder prune -af >/dev/null; %s; done", buildTries, timed(1, "cold")), 1, "≤ 1×",
	},
	{"docker build, nothing changed", buildContext + "build && " + timed(buildTries, "build"), 1.0 / 2, "≤ 1/2×"},
	{
		"docker build, one COPY changed", buildContext + "changed() { date +%s%N >src/1 && build; }\nbuild && " + timed(buildTries, "changed"),
		1, "≤ 1×",
	},
}

// builds compares docker build, by the same docker and buildx, in a session and against dockerd with its own BuildKit.
func (b *bench) builds(ctx context.Context, r *report) (err error) {
	if err := b.firstBuild(ctx, r); err != nil {
		return err
	}
	if b.docker == nil {
		r.remark("builds: not compared, dockerd is not installed (Debian: apt-get install docker.io)")
		return nil
	}
	if err := b.docker.plugins(b.bin); err != nil {
		return err
	}
	m, err := b.open(ctx, "docker")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.end(ctx, m)) }()
	for _, c := range buildCommands {
		var ours, theirs samples
		for range buildRounds {
			if err := b.inSession(ctx, m.id, c.script, &ours); err != nil {
				return fmt.Errorf("%s: %w", c.what, err)
			}
			if err := b.onHost(ctx, c.script, &theirs); err != nil {
				return fmt.Errorf("%s, dockerd: %w", c.what, err)
			}
		}
		r.compare(c.what, ours, "dockerd", theirs, c.limit, c.goal)
	}
	return nil
}

// plugins gives the docker program on the host the buildx that sessions have.
func (d *dockerPeer) plugins(bin string) error {
	dir := filepath.Join(d.config(), "cli-plugins")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	return os.Symlink(filepath.Join(bin, "docker-buildx"), filepath.Join(dir, "docker-buildx"))
}

// firstBuild measures what a session's first build takes longer than its second: the builder is made on first use.
func (b *bench) firstBuild(ctx context.Context, r *report) error {
	const trivial = `cd "$(mktemp -d)" && printf 'FROM scratch\nARG N\nLABEL n=$N\n' >Dockerfile && docker buildx version >/dev/null
build() { docker build -q --build-arg N=$1 . >/dev/null; }
for i in 1 2; do a=$(date +%s%N); build $i || exit; b=$(date +%s%N); echo $((b-a)); done`
	var more, second samples
	for range firstBuilds {
		m, err := b.open(ctx, "docker")
		if err != nil {
			return err
		}
		var took samples
		if err := errors.Join(b.inSession(ctx, m.id, trivial, &took), b.end(ctx, m)); err != nil {
			return err
		}
		if len(took) != 2 {
			return fmt.Errorf("two builds took %v", took)
		}
		more, second = append(more, max(0, took[0]-took[1])), append(second, took[1])
	}
	r.add(row{
		what: "a session's first build takes longer by", ours: spread(more), peer: "its second takes " + spread(second), goal: "p50 ≤ 150 ms",
		met: more.median() <= builderCost, count: len(more),
	})
	return nil
}

// buildsBesideTyping measures keystrokes beside builds: two in the session of the one who types, and one in each of ten others.
func (b *bench) buildsBesideTyping(ctx context.Context, r *report) (err error) {
	typist, err := b.open(ctx, "docker")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.end(ctx, typist)) }()
	if err := typist.settle(ctx); err != nil {
		return err
	}
	if err := b.besideBuilds(ctx, r, "keystroke p99 beside 2 builds in the session", typist, []*machine{typist, typist}); err != nil {
		return err
	}
	others, _, err := b.together(ctx, "docker", 10)
	defer func() { err = errors.Join(err, b.endAll(ctx, others)) }()
	if err != nil {
		return err
	}
	return b.besideBuilds(ctx, r, "keystroke p99 beside a build in each of 10 sessions", typist, others)
}

func (b *bench) besideBuilds(ctx context.Context, r *report, what string, typist *machine, builders []*machine) (err error) {
	bare, err := newBareShell(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, bare.close()) }()
	n := b.strokes / echoRounds
	var idle, busy, bareIdle, bareBusy samples
	for range echoRounds {
		if err := errors.Join(strokes(ctx, typist, n, &idle), strokes(ctx, bare, n, &bareIdle)); err != nil {
			return err
		}
		stop, err := b.startBuilds(ctx, builders)
		if err != nil {
			return err
		}
		if err := errors.Join(strokes(ctx, typist, n, &busy), strokes(ctx, bare, n, &bareBusy), stop()); err != nil {
			return err
		}
	}
	ratio := float64(busy.p99()) / float64(idle.p99())
	r.add(row{what: what, ours: spread(busy), peer: "its idle " + spread(idle), ratio: ratio, goal: "p99 ≤ 2×", met: ratio <= 2, count: len(busy)})
	r.remark("%s: a bare bash on a PTY of the host at the same time: %s, idle %s, p99 %.1f×", what, spread(bareBusy), spread(bareIdle),
		float64(bareBusy.p99())/float64(bareIdle.p99()))
	return nil
}

// building builds again and again, processor and disk, until its file "go" is no more. Its name is its first argument.
const building = `d=/tmp/building-$1; rm -rf $d; mkdir $d && cd $d && touch go
	printf 'FROM debian\nRUN sha256sum /usr/bin/* >/sums; cp -r /usr/lib/x86_64-linux-gnu /copy\nCOPY Dockerfile /\n' >Dockerfile
	touch started; while [ -e go ]; do docker build -q --no-cache . >/dev/null || exit; docker image prune -f >/dev/null; done; exit 0`

// awaitBuilding ends when the building of that name has begun.
const awaitBuilding = `for i in $(seq 1200); do [ -e /tmp/building-$1/started ] && exit; sleep 0.05; done; exit 1`

// startBuilds has each of the machines build, twice where it is there twice, and returns when all do. The function that it
// returns lets the builds end.
func (b *bench) startBuilds(ctx context.Context, machines []*machine) (stop func() error, err error) {
	ended := make(chan error, len(machines))
	for i, m := range machines {
		go func() { ended <- b.sh(ctx, m, building, strconv.Itoa(i)) }()
	}
	for i, m := range machines {
		err = errors.Join(err, b.sh(ctx, m, awaitBuilding, strconv.Itoa(i)))
	}
	stop = func() error {
		var err error
		for i, m := range machines {
			err = errors.Join(err, b.sh(ctx, m, "rm -f /tmp/building-$1/go", strconv.Itoa(i)))
		}
		for range machines {
			err = errors.Join(err, <-ended)
		}
		return err
	}
	if err != nil {
		return nil, errors.Join(err, stop())
	}
	return stop, nil
}

// sh runs a script in a session; it fails when the script does.
func (b *bench) sh(ctx context.Context, m *machine, script string, args ...string) error {
	out, err := b.server.client.Run(ctx, m.id, execstream.Request{Cmd: append([]string{"bash", "-c", script, "sh"}, args...)}, "")
	if err == nil && out.ExitCode != 0 {
		err = fmt.Errorf("%q: exit %d: %s", script, out.ExitCode, out.Stderr)
	}
	return err
}
