package build

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"

	"google.golang.org/grpc"
)

// guard turns a panic into the error of what panicked: one build's fault is not the end of the sandbox.
func guard(log *slog.Logger, err *error) {
	if v := recover(); v != nil {
		log.Error("panic in a build", "panic", v, "stack", string(debug.Stack()))
		*err = fmt.Errorf("the builder met an internal error: %v", v)
	}
}

func guardUnary(log *slog.Logger) grpc.UnaryServerInterceptor {
	return func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (_ any, err error) {
		defer guard(log, &err)
		return next(ctx, req)
	}
}

func guardStream(log *slog.Logger) grpc.StreamServerInterceptor {
	return func(srv any, s grpc.ServerStream, _ *grpc.StreamServerInfo, next grpc.StreamHandler) (err error) {
		defer guard(log, &err)
		return next(srv, s)
	}
}
