package main

import (
	"context"
	"time"
)

const poolSize = 2

// starts measures warm and cold starts against runc and docker, one of each in turn.
func (b *bench) starts(ctx context.Context, r *report) error {
	for _, image := range []string{"debian", "busybox"} {
		var warm, cold, runc, docker samples
		for range b.options.starts {
			for _, one := range []struct {
				into *samples
				take func(context.Context, string) (time.Duration, error)
			}{{&warm, b.warm}, {&runc, b.runcRun}, {&cold, b.cold}, {&docker, b.dockerRun}} {
				pause(ctx)
				took, err := one.take(ctx, image)
				if err != nil {
					return err
				}
				if took > 0 {
					*one.into = append(*one.into, took)
				}
			}
		}
		r.compare("warm start, "+image, warm, "runc run", runc, 1, "≤ 1×")
		if len(docker) > 0 {
			r.compare("warm start, "+image, warm, "docker run -it", docker, 0.1, "≤ 0.10×")
		}
		r.compare("cold start, "+image, cold, "runc run", runc, 5, "≤ 5×")
	}
	if b.docker == nil {
		r.remark("docker run: not measured, dockerd is not installed (Debian: apt-get install docker.io)")
	}
	return nil
}

func pause(ctx context.Context) {
	select {
	case <-time.After(quiet):
	case <-ctx.Done():
	}
}

// warm is from the request for a session to the first byte of its prompt, with the pool filled.
func (b *bench) warm(ctx context.Context, env string) (time.Duration, error) {
	if err := b.server.waitPool(ctx, env, poolSize); err != nil {
		return 0, err
	}
	pause(ctx)
	return b.timeOpen(ctx, env)
}

// cold is the same without a pool.
func (b *bench) cold(ctx context.Context, image string) (time.Duration, error) {
	if err := b.server.waitPool(ctx, image, poolSize); err != nil { // a pool that fills would compete
		return 0, err
	}
	return b.timeOpen(ctx, image+"-cold")
}

func (b *bench) timeOpen(ctx context.Context, env string) (time.Duration, error) {
	began := time.Now()
	m, err := b.open(ctx, env)
	took := time.Since(began)
	if err != nil {
		return 0, err
	}
	return took, b.end(ctx, m)
}

func (b *bench) runcRun(ctx context.Context, image string) (time.Duration, error) {
	return b.runc[image].run(ctx)
}

func (b *bench) dockerRun(ctx context.Context, image string) (time.Duration, error) {
	if b.docker == nil {
		return 0, nil
	}
	return b.docker.run(ctx, image)
}
