// Package build is BuildKit inside the sandbox: what `docker build` talks to. Steps run by our runc, with the sandbox's limits
// and networks; the cache stands on the session's disk, in the same stores of containerd as the images (package image), so that
// what is built is an image of the session at once, without a copy.
//
// The solver, its frontends and its caches are BuildKit's own (github.com/moby/buildkit). Ours are the executor, the source of
// base images, the exporter to the session's images, and what is refused.
package build
