package dockerapi

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	controlapi "github.com/moby/buildkit/api/services/control"
	buildtypes "github.com/moby/moby/api/types/build"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/jsonstream"
	"github.com/moby/moby/api/types/registry"
	"google.golang.org/protobuf/proto"

	"berth/runtime/engine/build"
)

// buildParameters are those of POST /build, and what becomes of them.
var buildParameters = fields{}.
	ok("", `t dockerfile remote q nocache pull buildargs labels cachefrom target platform networkmode extrahosts shmsize ulimits
		cgroupparent memory memswap cpushares cpuperiod cpuquota cpusetcpus cpusetmems outputs version session buildid`).
	idle("", "rm forcerm", "a step's container is always removed").
	idle("", "isolation", "it is for Windows").
	no("", "squash securityopt credentialspec")

// build builds an image: by the first builder's protocol, or with a client's session.
func (b Builds) build(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	request, err := buildRequest(q)
	if err == nil {
		request.Auth, err = registryConfig(r)
	}
	if err != nil {
		return err
	}
	builder, err := b.Builder(r.Context())
	if err != nil {
		return err
	}
	ctx, done := b.cancellable(r.Context(), q.Get("buildid"))
	defer done()
	p := newProgress(w)
	var id string
	if q.Get("version") == string(buildtypes.BuilderBuildKit) {
		id, err = b.withSession(ctx, builder, request, q.Get("session"), p)
	} else {
		id, err = b.classic(ctx, builder, request, r, p)
	}
	if err == nil && request.Quiet {
		p.tell(jsonstream.Message{Stream: id + "\n"})
	}
	if err == nil {
		return nil
	}
	return p.finish(classicError(err, q.Get("version")))
}

func (b Builds) classic(ctx context.Context, builder *build.Builder, request build.Request, r *http.Request, p *progress) (string, error) {
	say := func(s string) {
		if !request.Quiet {
			p.tell(jsonstream.Message{Stream: s})
		}
	}
	// The answer begins while the body is still being read: Docker's clients send it whole first.
	if err := http.NewResponseController(p.stream.w).EnableFullDuplex(); err != nil {
		b.Log.Debug("full duplex", "error", err)
	}
	id, err := builder.BuildClassic(ctx, request, r.Body, say)
	if err != nil {
		return "", err
	}
	if id != "" {
		if err := aux(p, "", buildtypes.Result{ID: id}); err != nil {
			return "", err
		}
		say("Successfully built " + strings.TrimPrefix(id, "sha256:")[:12] + "\n")
	}
	for _, t := range request.Tags {
		say("Successfully tagged " + familiarTag(t) + "\n")
	}
	return id, nil
}

func (b Builds) withSession(ctx context.Context, builder *build.Builder, request build.Request, session string, p *progress) (string, error) {
	switch request.Remote {
	case "client-session":
		request.Remote = ""
	case "upload-request", "":
		return "", Unsupported("a context in the body with version=2")
	}
	id, err := builder.BuildSession(ctx, request, session, func(s *controlapi.StatusResponse) error {
		body, err := proto.Marshal(s)
		if err != nil {
			return err
		}
		return aux(p, "moby.buildkit.trace", body)
	})
	if err != nil || id == "" {
		return id, err
	}
	return id, aux(p, "moby.image.id", buildtypes.Result{ID: id})
}

// aux tells what is for programs.
func aux(p *progress, kind string, v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return err
	}
	raw := json.RawMessage(body)
	p.tell(jsonstream.Message{ID: kind, Aux: &raw})
	return nil
}

// nonZero is how BuildKit says that a step has failed.
var nonZero = regexp.MustCompile(`process "(.*)" did not complete successfully: exit code: (\d+)`)

// classicError is an error in the first builder's words, which scripts compare.
func classicError(err error, version string) error {
	m := nonZero.FindStringSubmatch(err.Error())
	if m == nil || version == string(buildtypes.BuilderBuildKit) {
		return err
	}
	code, _ := strconv.Atoi(m[2]) // digits
	return &failedStep{"The command '" + m[1] + "' returned a non-zero code: " + m[2], code, err}
}

// failedStep is an error with the exit code of a step.
type failedStep struct {
	message string
	code    int
	cause   error
}

func (e *failedStep) Error() string { return e.message }
func (e *failedStep) Unwrap() error { return e.cause }

// buildRequest reads the query.
func buildRequest(q url.Values) (r build.Request, err error) {
	for name := range q {
		if c := buildParameters[name]; c.kind != supported && c.kind != noEffect && !slices.Equal(q[name], []string{""}) && q.Get(name) != "0" {
			return r, Unsupported(name)
		}
	}
	flag := func(name string) bool { return Flag(&http.Request{URL: &url.URL{RawQuery: q.Encode()}}, name) }
	r = build.Request{
		Dockerfile: q.Get("dockerfile"), Remote: q.Get("remote"), Target: q.Get("target"), Platform: q.Get("platform"),
		Network: q.Get("networkmode"), Tags: slices.DeleteFunc(slices.Clone(q["t"]), func(t string) bool { return t == "" }),
		ExtraHosts: q["extrahosts"], NoCache: flag("nocache"), Pull: flag("pull"), Quiet: flag("q"), Cgroup: q.Get("cgroupparent"),
		Resources: container.Resources{CpusetCpus: q.Get("cpusetcpus"), CpusetMems: q.Get("cpusetmems")},
	}
	for name, to := range map[string]*int64{
		"shmsize": &r.ShmSize, "memory": &r.Resources.Memory, "memswap": &r.Resources.MemorySwap, "cpushares": &r.Resources.CPUShares,
		"cpuperiod": &r.Resources.CPUPeriod, "cpuquota": &r.Resources.CPUQuota,
	} {
		if v := q.Get(name); v != "" {
			if *to, err = strconv.ParseInt(v, 10, 64); err != nil {
				return r, Invalid("%s is a number, not %q", name, v)
			}
		}
	}
	for name, to := range map[string]any{"buildargs": &r.Args, "labels": &r.Labels, "cachefrom": &r.CacheFrom, "ulimits": &r.Ulimits} {
		if v := q.Get(name); v != "" {
			if err := json.Unmarshal([]byte(v), to); err != nil {
				return r, Invalid("error reading %s: %s", name, plain(err))
			}
		}
	}
	r.Outputs, err = build.ParseOutputs(q.Get("outputs"))
	return r, err
}

// registryConfig reads the credentials that a client sends with a build, by registry.
func registryConfig(r *http.Request) (map[string]registry.AuthConfig, error) {
	header := r.Header.Get("X-Registry-Config")
	if header == "" {
		return nil, nil
	}
	body, err := base64.URLEncoding.DecodeString(header)
	if err != nil {
		return nil, Invalid("invalid X-Registry-Config header: %s", err)
	}
	var all map[string]registry.AuthConfig
	if err := json.Unmarshal(body, &all); err != nil {
		return nil, Invalid("invalid X-Registry-Config header: %s", plain(err))
	}
	return all, nil
}
