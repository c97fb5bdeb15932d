package build

import (
	"context"
	"net"
	"net/http"
	"time"

	"github.com/containerd/containerd/v2/pkg/namespaces"
	"github.com/moby/buildkit/client"
	"github.com/moby/buildkit/util/grpcerrors"
	"golang.org/x/net/http2"
	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	healthapi "google.golang.org/grpc/health/grpc_health_v1"

	"berth/runtime/engine/image"
)

// headerTimeout bounds the wait for the rest of a request's head.
const headerTimeout = 10 * time.Second

// maxMessage bounds one message of a client, in bytes: a definition of a large build is some hundred kilobytes.
const maxMessage = 16 << 20

// grpcServer serves BuildKit's API on connections that were HTTP requests before.
type grpcServer struct {
	grpc  *grpc.Server
	http2 http2.Server //nolint:staticcheck // net/http serves no connection that it has given away
}

func newGRPCServer(b *Builder) *grpcServer {
	unary := []grpc.UnaryServerInterceptor{guardUnary(b.o.Log), namespaceUnary, grpcerrors.UnaryServerInterceptor}
	if b.o.Watch != nil {
		unary = append(unary, b.o.Watch.Unary)
	}
	unary = append(unary, b.tellFull)
	s := &grpcServer{grpc: grpc.NewServer(
		grpc.MaxRecvMsgSize(maxMessage), grpc.MaxSendMsgSize(maxMessage),
		grpc.ChainUnaryInterceptor(unary...),
		grpc.ChainStreamInterceptor(guardStream(b.o.Log), namespaceStream, grpcerrors.StreamServerInterceptor),
	)}
	b.controller.Register(s.grpc)
	healthapi.RegisterHealthServer(s.grpc, health.NewServer())
	return s
}

// Close ends all calls.
func (s *grpcServer) Close() { s.grpc.Stop() }

func namespaceUnary(ctx context.Context, req any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
	return next(namespaces.WithNamespace(ctx, image.Namespace), req)
}

func namespaceStream(srv any, s grpc.ServerStream, _ *grpc.StreamServerInfo, next grpc.StreamHandler) error {
	return next(srv, scopedStream{s, namespaces.WithNamespace(s.Context(), image.Namespace)})
}

type scopedStream struct {
	grpc.ServerStream
	ctx context.Context
}

func (s scopedStream) Context() context.Context { return s.ctx }

// Serve speaks BuildKit's API on a connection until it ends. Ctx is that of all its calls.
func (b *Builder) Serve(ctx context.Context, conn net.Conn) {
	b.serving.Add(1)
	defer b.serving.Done()
	b.pace.begin()
	defer b.pace.end()
	base := &http.Server{ReadHeaderTimeout: headerTimeout}
	//nolint:staticcheck // as above
	b.server.http2.ServeConn(conn, &http2.ServeConnOpts{Context: ctx, Handler: b.server.grpc, BaseConfig: base})
}

// Session serves a client's own part of a build, its files and secrets, until it leaves.
func (b *Builder) Session(ctx context.Context, w http.ResponseWriter, r *http.Request) error {
	return b.sessions.HandleHTTPRequest(ctx, w, r)
}

// Client speaks with this builder from within the process. Close it.
func (b *Builder) Client(ctx context.Context) (*client.Client, error) {
	return client.New(ctx, "", client.WithContextDialer(func(context.Context, string) (net.Conn, error) {
		ours, theirs := net.Pipe()
		go b.Serve(ctx, theirs) // it ends with the connection, which the client closes
		return ours, nil
	}), client.WithSessionDialer(func(_ context.Context, _ string, meta map[string][]string) (net.Conn, error) {
		ours, theirs := net.Pipe()
		go func() { _ = b.sessions.HandleConn(ctx, theirs, meta) }() // as above
		return ours, nil
	}))
}
