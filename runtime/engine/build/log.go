package build

import (
	"context"
	"io"
	"log/slog"
	"strings"

	"github.com/moby/buildkit/util/bklog"
	"github.com/sirupsen/logrus"
)

// withLogger gives a context BuildKit's logger, which writes to ours.
func withLogger(ctx context.Context, log *slog.Logger) context.Context {
	l := logrus.New()
	l.SetOutput(io.Discard)
	l.SetLevel(logrus.WarnLevel)
	l.AddHook(logHook{log})
	return bklog.WithLogger(ctx, logrus.NewEntry(l))
}

// logHook hands entries on.
type logHook struct{ log *slog.Logger }

// Levels is of logrus.Hook.
func (logHook) Levels() []logrus.Level { return logrus.AllLevels }

// Fire is of logrus.Hook. What BuildKit calls an error is most often the build's own: the client reads it.
func (h logHook) Fire(e *logrus.Entry) error {
	var attributes []any
	for k, v := range e.Data {
		attributes = append(attributes, slog.Any(k, v))
	}
	message, _, _ := strings.Cut(e.Message, "\n") // a stack follows
	h.log.InfoContext(e.Context, "buildkit: "+message, attributes...)
	return nil
}
