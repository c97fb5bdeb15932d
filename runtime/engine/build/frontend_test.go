package build_test

import (
	"testing"

	"berth/runtime/engine/build"
)

func TestWhichFrontendsAreBuiltIn(t *testing.T) {
	for source, want := range map[string]bool{
		"docker/dockerfile":                    true,
		"docker/dockerfile:1":                  true,
		"docker.io/docker/dockerfile:1.7-labs": true,
		"docker/dockerfile-upstream:master":    true,
		"docker/dockerfile:1@sha256:" + digits: true,
		"docker/dockerfile:1 with arguments":   true,
		"docker/dockerfiles:1":                 false,
		"example.com/docker/dockerfile:1":      false,
		"r2d4/mocker":                          false,
		"":                                     false,
		"../docker/dockerfile":                 false,
		"docker/dockerfile/more:1":             false,
		"DOCKER/dockerfile:1":                  false,
	} {
		if got := build.IsDockerfile(source); got != want {
			t.Errorf("%q: %v", source, got)
		}
	}
}

const digits = "e87caa74dcb7d46cd820352bfea12591f3dba3ddc4285e19c7dcd13359f7cefd"

func TestCredentialsGoToTheirRegistry(t *testing.T) {
	for _, c := range []struct {
		name, host string
		want       bool
	}{
		{"https://index.docker.io/v1/", "registry-1.docker.io", true},
		{"docker.io", "registry-1.docker.io", true},
		{"localhost:5000", "localhost:5000", true},
		{"http://localhost:5000", "localhost:5000", true},
		{"localhost:5000", "localhost:5001", false},
		{"evil.example/docker.io", "docker.io", false},
		{"https://index.docker.io/v1/", "quay.io", false},
	} {
		if got := build.SameRegistry(c.name, c.host); got != c.want {
			t.Errorf("%s for %s: %v", c.name, c.host, got)
		}
	}
}
