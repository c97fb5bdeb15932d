package watch

import (
	"context"
	"errors"
	"strings"

	controlapi "github.com/moby/buildkit/api/services/control"
	"github.com/moby/buildkit/exporter/containerimage/exptypes"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
	gatewayapi "github.com/moby/buildkit/frontend/gateway/pb"
	"github.com/moby/buildkit/solver/errdefs"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"berth/runtime/engine/build/record"
)

// end tells the record how a build ended, or that there was none. Cause is why its context had ended, if it had.
func (r *run) end(ctx context.Context, answer any, err, cause error) {
	r.mu.Lock()
	question, asked, failed := r.question, r.frontend, r.failed
	r.mu.Unlock()
	if question || err == nil && !asked && r.build.Empty() {
		r.watcher.o.Records.Discard(r.build)
		return
	}
	if err == nil {
		r.build.End(r.made(ctx, answer))
		return
	}
	if errors.Is(err, errTooLong) || failed == nil {
		failed = err
	}
	if !errors.Is(err, errTooLong) && (isCancel(err) || errors.Is(cause, record.ErrCancelled)) {
		r.build.End(record.Outcome{State: record.Cancelled})
		return
	}
	e := explain(failed)
	if e.text != nil {
		r.build.Text(e.text)
	}
	r.build.End(record.Outcome{State: record.Failed, Error: &e.Error})
}

// made describes the image of a build.
func (r *run) made(ctx context.Context, answer any) record.Outcome {
	o := record.Outcome{State: record.Succeeded}
	solved, ok := answer.(*controlapi.SolveResponse)
	if !ok {
		return o
	}
	o.Image = solved.ExporterResponse[exptypes.ExporterImageConfigDigestKey]
	if o.Image != "" && r.watcher.o.ImageSize != nil {
		o.ImageSize = r.watcher.o.ImageSize(ctx, o.Image)
	}
	return o
}

func isCancel(err error) bool {
	return errors.Is(err, context.Canceled) || status.Code(err) == codes.Canceled
}

// explained is an error and the Dockerfile that it is about, if it says that.
type explained struct {
	record.Error
	text []byte
}

// explain finds in an error of BuildKit's which step it is of, where that stands, and how its process ended.
func explain(err error) explained {
	e := explained{Error: record.Error{Message: sentence(err)}}
	var vertex *errdefs.VertexError
	if errors.As(err, &vertex) {
		e.Step = vertex.GetDigest()
	}
	var exit *gatewayapi.ExitError
	if errors.As(err, &exit) && exit.ExitCode != gatewayapi.UnknownExitStatus {
		e.ExitCode = int(exit.ExitCode)
	}
	for _, s := range errdefs.Sources(err) {
		if s.Info != nil {
			e.text = s.Info.Data
		}
		if first, last := linesOf(s.Ranges); first > 0 { // the last is the outermost
			e.Line, e.EndLine = first, last
		}
	}
	var at *parser.LocationError
	if e.Line == 0 && errors.As(err, &at) {
		for _, l := range at.Locations {
			for _, r := range l {
				if e.Line == 0 {
					e.Line = r.Start.Line
				}
				e.EndLine = max(e.EndLine, r.End.Line)
			}
		}
	}
	return e
}

// sentence drops what BuildKit says before the cause.
func sentence(err error) string {
	text := err.Error()
	if s, ok := status.FromError(err); ok && s.Message() != "" {
		text = s.Message()
	}
	for _, prefix := range []string{"failed to solve: ", "rpc error: code = Unknown desc = "} {
		text = strings.TrimPrefix(text, prefix)
	}
	return text
}
