package main

import (
	"context"
	"log/slog"
	"os"

	"berth/runtime/engine"
)

// sandboxCmd is the first process of a sandbox. It is started by the server, never by hand.
type sandboxCmd struct {
	ID string `arg:"" help:"The sandbox's ID, for ps."`
}

func (c *sandboxCmd) Run(ctx context.Context) error {
	moreProcessors()
	return engine.Run(ctx, version(), slog.New(slog.NewTextHandler(os.Stderr, nil)))
}
