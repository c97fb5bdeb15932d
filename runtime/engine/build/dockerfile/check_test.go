package dockerfile_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/containerd/errdefs"

	"berth/runtime/engine/build/dockerfile"
)

// images are what a session has: names as BuildKit writes them.
type images map[string]string

func (i images) ImageConfig(_ context.Context, ref string) ([]byte, error) {
	if c, ok := i[ref]; ok {
		return []byte(c), nil
	}
	return nil, fmt.Errorf("no image %s: %w", ref, errdefs.ErrNotFound)
}

func check(t *testing.T, text string) *dockerfile.Check {
	t.Helper()
	found, err := dockerfile.NewChecker(images{
		"docker.io/library/known:1": `{"os":"linux","architecture":"amd64","config":{"Env":["HERE=1"]},"rootfs":{"type":"layers","diff_ids":["sha256:` + strings.Repeat("0", 64) + `"]}}`,
	}).Check(t.Context(), []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestCheck(t *testing.T) {
	for name, c := range map[string]struct {
		text     string
		error    string // a part of the message; empty: there is none
		line     int    // of the error
		warnings string // RULE:line, separated by spaces
		stages   string // NAME=BASE:first-last
		args     string // NAME=value:line
	}{
		"fine":               {text: "FROM known:1\nRUN true\n", stages: "=known:1:1-2"},
		"empty":              {text: "", error: "empty"},
		"only spaces":        {text: "\n \t\n", error: "empty"},
		"only a comment":     {text: "# hello\n", error: "no instructions"},
		"unknown":            {text: "FROM known:1\nFOO bar\n", error: "unknown instruction: FOO", line: 2},
		"mistyped":           {text: "FROM known:1\nRUNN true\n", error: "did you mean RUN", line: 2},
		"no FROM":            {text: "RUN true\n", error: "no build stage", line: 1},
		"FROM without":       {text: "FROM known:1\n\nFROM\n", error: "FROM requires", line: 3},
		"open heredoc":       {text: "FROM known:1\nRUN <<EOT\necho\n", error: "unterminated heredoc", line: 2},
		"bad quotes":         {text: "FROM known:1\nENV a=\"b\n", error: "unexpected end of statement", line: 2},
		"bad JSON warns":     {text: "FROM known:1\nCMD echo hi\n", warnings: "JSONArgsRecommended:2", stages: "=known:1:1-2"},
		"cyclic":             {text: "FROM b AS a\nFROM a AS b\n", stages: "a=b:1-1 b=a:2-2"},
		"cyclic copies":      {text: "FROM known:1 AS a\nCOPY --from=b / /\nFROM known:1 AS b\nCOPY --from=a / /\n", error: "circular dependency", stages: "a=known:1:1-2 b=known:1:3-4"},
		"copies from itself": {text: "FROM known:1 AS a\nCOPY --from=a / /\n", error: "circular dependency", line: 2},
		"casing":             {text: "from known:1 as Build\nRUN true\n", warnings: "ConsistentInstructionCasing:1 StageNameCasing:1", stages: "build=known:1:1-2"},
		"checks skipped": {
			text: "# check=skip=StageNameCasing\nFROM known:1 AS Build\n", stages: "build=known:1:2-2",
		},
		"checks that fail": {
			text: "# check=error=true\nFROM known:1 AS Build\n", error: "lint violation", warnings: "StageNameCasing:2", stages: "build=known:1:2-2",
		},
		"a wrong check directive": {text: "# check=what=1\nFROM known:1\n", error: "check", stages: "=known:1:2-2"},
		"secret":                  {text: "FROM known:1\nENV API_TOKEN=x\n", warnings: "SecretsUsedInArgOrEnv:2", stages: "=known:1:1-2"},
		"variable of the base":    {text: "FROM known:1\nWORKDIR /$HERE\n", stages: "=known:1:1-2"},
		"undefined variable":      {text: "FROM known:1\nWORKDIR /$THERE\n", warnings: "UndefinedVar:2", stages: "=known:1:1-2"},
		"unknown base's variable": {text: "FROM golang:1.26\nWORKDIR $GOPATH\n", stages: "=golang:1.26:1-2"},
		"one stage of each": {
			text:   "FROM golang:1.26 AS a\nWORKDIR $GOPATH\nFROM a AS b\nWORKDIR $GOPATH\nFROM known:1\nWORKDIR $GOPATH\n",
			stages: "a=golang:1.26:1-2 b=a:3-4 =known:1:5-6", warnings: "UndefinedVar:6 WorkdirRelativePath:6",
		},
		"arguments": {
			text: "ARG V=1\nFROM known:$V\nARG W\nARG X=a$V\nARG V\nRUN echo $W $X\n",
			args: "V=1:1 W=:3 X=a:4", warnings: "UndefinedVar:4", stages: "=known:$V:2-6",
		},
		"other syntax is not fetched": {text: "# syntax=evil.example/frontend\nFROM known:1\n", stages: "=known:1:2-2"},
		"names with escapes":          {text: "FROM known:1 AS \x1b[31m\n", error: "invalid name for build stage", line: 1},
		"a name with a newline":       {text: "FROM kno\\\nwn:1\nRUN true\n", stages: "=known:1:1-3"},
		"windows line ends":           {text: "FROM known:1\r\nRUN true\r\n", stages: "=known:1:1-2"},
		"doubling":                    {text: "FROM known:1\nENV A=xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\n" + strings.Repeat("ENV A=$A$A\n", 64), error: "more than 1024 KiB", line: 17},
		"replacing":                   {text: "FROM known:1\nENV A=xxxxxxxxxx\n" + strings.Repeat("ENV A=${A//x/xxxxxxxxxx}\n", 20), error: "more than 1024 KiB", line: 6},
		"doubling of the base's":      {text: "FROM known:1\nENV A=$HERE\n" + strings.Repeat("ENV A=$A$A\n", 64), error: "more than 1024 KiB", line: 10},
		"doubling of an argument":     {text: "FROM known:1\nARG A\n" + strings.Repeat("ENV A=$A$A\n", 64), error: "more than 1024 KiB", line: 10},
		"doubling in a file":          {text: "FROM known:1\nARG A\nCOPY <<EOT /x\n" + strings.Repeat("$A", 300) + "\nEOT\n", error: "more than 1024 KiB", line: 3},
		"doubling in a mount":         {text: "FROM known:1\nARG A\nRUN --mount=target=/" + strings.Repeat("$A", 300) + " true\n", error: "more than 1024 KiB", line: 3},
		"a shell's variables":         {text: "FROM known:1\nRUN <<EOT\n" + strings.Repeat("echo $x\n", 3000) + "EOT\nRUN echo " + strings.Repeat("$y ", 3000) + "\nCMD [\"$z\"]\n", stages: "=known:1:1-3005"},
		"a path that grows":           {text: "FROM known:1\n" + strings.Repeat("ENV PATH=$PATH:/opt/x/bin\n", 100), stages: "=known:1:1-101"},
		"environments":                {text: "FROM known:1\nENV A=" + strings.Repeat("x", 60_000) + "\n" + strings.Repeat("RUN true\n", 3000), error: "environment"},
		"nested":                      {text: "FROM known:1\nENV A=" + strings.Repeat("${a:-", 10_000) + "\n", error: "nested", line: 2},
		"stages":                      {text: strings.Repeat("FROM known:1\n", 501), error: "at most 500 stages"},
	} {
		t.Run(name, func(t *testing.T) {
			found := check(t, c.text)
			switch {
			case c.error == "" && found.Error != nil:
				t.Errorf("error %q at line %d", found.Error.Message, found.Error.Line)
			case c.error != "" && (found.Error == nil || !strings.Contains(found.Error.Message, c.error)):
				t.Errorf("error %+v, want one that says %q", found.Error, c.error)
			case c.error != "" && c.line != 0 && found.Error.Line != c.line:
				t.Errorf("the error %q is at line %d, want %d", found.Error.Message, found.Error.Line, c.line)
			}
			if c.error == "" || c.warnings != "" {
				same(t, "warnings", warnings(found), c.warnings)
			}
			if c.stages != "" {
				same(t, "stages", stages(found), c.stages)
			}
			if c.args != "" {
				same(t, "args", args(found), c.args)
			}
		})
	}
}

func same(t *testing.T, what, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("%s: %q, want %q", what, got, want)
	}
}

func warnings(c *dockerfile.Check) string {
	var list []string
	for _, w := range c.Warnings {
		list = append(list, fmt.Sprintf("%s:%d", w.Rule, w.Line))
	}
	return strings.Join(list, " ")
}

func stages(c *dockerfile.Check) string {
	var list []string
	for _, s := range c.Stages {
		list = append(list, fmt.Sprintf("%s=%s:%d-%d", s.Name, s.Base, s.Line, s.EndLine))
	}
	return strings.Join(list, " ")
}

func args(c *dockerfile.Check) string {
	var list []string
	for _, a := range c.Args {
		list = append(list, fmt.Sprintf("%s=%s:%d", a.Name, a.Value, a.Line))
	}
	return strings.Join(list, " ")
}

func TestCheckOfOneMegabyte(t *testing.T) {
	checker := dockerfile.NewChecker(nil)
	long := "FROM scratch\n" + strings.Repeat("RUN echo "+strings.Repeat("x", 900)+"\n", 1100)
	began := time.Now()
	found, err := checker.Check(t.Context(), []byte(long))
	t.Logf("%d bytes in %s", len(long), time.Since(began))
	if errdefs.IsInvalidArgument(err) && strings.Contains(err.Error(), "takes more than") { // a slow machine: it is told
		t.Log(err)
	} else if err != nil || found.Error != nil {
		t.Fatalf("%v, %+v", err, found)
	}
	if _, err := checker.Check(t.Context(), make([]byte, dockerfile.MaxText+1)); !errors.Is(err, errdefs.ErrInvalidArgument) {
		t.Errorf("too long a text: %v", err)
	}
}

// tutorial has the 30 lines of a Dockerfile as anybody writes one.
const tutorial = `# syntax=docker/dockerfile:1
ARG GO=1.26
FROM golang:${GO} AS base
WORKDIR /src
COPY go.mod go.sum ./
RUN --mount=type=cache,target=/root/.cache/go-build \
    go mod download

FROM base AS build
COPY . .
ARG VERSION=dev
ENV CGO_ENABLED=0
RUN --mount=type=cache,target=/root/.cache/go-build \
    go build -ldflags "-X main.version=${VERSION}" -o /out/app ./cmd/app

FROM base AS test
COPY . .
RUN <<EOT
go vet ./...
go test ./...
EOT

FROM debian:bookworm-slim
LABEL org.opencontainers.image.title="app"
RUN apt-get update && apt-get install -y ca-certificates && rm -rf /var/lib/apt/lists/*
COPY --from=build /out/app /usr/local/bin/app
USER nobody
EXPOSE 8080
HEALTHCHECK CMD ["/usr/local/bin/app", "-health"]
ENTRYPOINT ["/usr/local/bin/app"]
`

func BenchmarkCheck(b *testing.B) {
	checker := dockerfile.NewChecker(nil)
	for b.Loop() {
		if found, err := checker.Check(b.Context(), []byte(tutorial)); err != nil || found.Error != nil || len(found.Stages) != 4 {
			b.Fatal(err, found)
		}
	}
}

func FuzzCheck(f *testing.F) {
	f.Add([]byte(tutorial))
	f.Add([]byte("FROM a AS b\nCOPY --from=b <<X /\nhello\nX\n"))
	f.Add([]byte("# check=skip=all;error=true\n# escape=`\nfrom x\nENV A=${B:-${C//x/y}}\n"))
	f.Add([]byte("FROM scratch\nADD --checksum=sha256:00 http://x/y /\nONBUILD RUN x\nSHELL [\"a\"]\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		found, err := dockerfile.NewChecker(nil).Check(t.Context(), text)
		if err != nil {
			if !errors.Is(err, errdefs.ErrInvalidArgument) {
				t.Fatal(err)
			}
			return
		}
		if found.Error != nil && strings.HasPrefix(found.Error.Message, "the parser of Dockerfiles failed") {
			t.Log(found.Error.Message) // a panic of BuildKit's stays an error of its text
		}
		for _, w := range found.Warnings {
			if w.Line < 0 || w.EndLine < w.Line {
				t.Errorf("%+v", w)
			}
		}
	})
}
