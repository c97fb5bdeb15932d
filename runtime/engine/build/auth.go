package build

import (
	"context"
	"strings"

	"github.com/moby/buildkit/session/auth"
	"github.com/moby/moby/api/types/registry"
	"google.golang.org/grpc"
)

// credentials answer for a client that has sent them all at once.
type credentials struct {
	auth.UnimplementedAuthServer
	auth map[string]registry.AuthConfig // by registry, as clients write it
}

// Register is of session.Attachable.
func (c credentials) Register(s *grpc.Server) { auth.RegisterAuthServer(s, c) }

// Credentials is of auth.AuthServer.
func (c credentials) Credentials(_ context.Context, r *auth.CredentialsRequest) (*auth.CredentialsResponse, error) {
	for name, a := range c.auth {
		if sameRegistry(name, r.Host) {
			if a.IdentityToken != "" {
				return &auth.CredentialsResponse{Secret: a.IdentityToken}, nil
			}
			return &auth.CredentialsResponse{Username: a.Username, Secret: a.Password}, nil
		}
	}
	return &auth.CredentialsResponse{}, nil
}

// sameRegistry compares the name of a registry in a client's configuration with the host that asks.
func sameRegistry(name, host string) bool {
	name = strings.TrimPrefix(strings.TrimPrefix(name, "https://"), "http://")
	name, _, _ = strings.Cut(name, "/")
	hub := func(h string) bool { return h == "docker.io" || h == "index.docker.io" || h == "registry-1.docker.io" }
	return name == host || hub(name) && hub(host)
}
