package main

import (
	"context"
	"errors"
	"fmt"

	"berth/sessions"
)

// rmCommand is `berth rm`.
type rmCommand struct {
	remote
	IDs []sessions.ID `arg:"" name:"id" help:"The sessions to end."`
}

// Run ends sessions, all that it can, and prints each that it ended.
func (r *rmCommand) Run(ctx context.Context) error {
	c, err := r.client()
	if err != nil {
		return err
	}
	var errs []error
	for _, id := range r.IDs {
		if err := c.End(ctx, id); err != nil {
			errs = append(errs, fmt.Errorf("end session %s: %w", id, err))
			continue
		}
		fmt.Println(id)
	}
	return errors.Join(errs...)
}
