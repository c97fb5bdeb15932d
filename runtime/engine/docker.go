package engine

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"

	"berth/runtime/engine/boot"
	"berth/runtime/engine/dockerapi"
)

// dockerMode lets every user of the workspace ask: who is in it owns the whole sandbox, and nothing else.
const dockerMode = 0o666

// docker serves the Docker API where the workspace looks for it, and on the socket that the launcher has handed over. Below
// the sandbox API it is served by package api.
type docker struct {
	server    *http.Server
	listeners []net.Listener
	serving   sync.WaitGroup
	log       *slog.Logger
}

// listenDocker opens the sockets, so that the workspace can be given its own. What asks before serve waits.
func listenDocker(h http.Handler, log *slog.Logger) (*docker, error) {
	d := &docker{server: dockerapi.HTTPServer(h, log), log: log}
	f := os.NewFile(boot.DockerFD, "docker")
	host, err := net.FileListener(f)
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, fmt.Errorf("the Docker socket of the host: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(boot.DockerSocket), 0o755); err != nil {
		return nil, err
	}
	own, err := net.ListenUnix("unix", &net.UnixAddr{Name: boot.DockerSocket, Net: "unix"})
	if err != nil {
		return nil, err
	}
	d.listeners = []net.Listener{host, own}
	return d, os.Chmod(boot.DockerSocket, dockerMode)
}

func (d *docker) serve() {
	for _, l := range d.listeners {
		d.serving.Go(func() {
			if err := d.server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
				d.log.Error("the Docker API ended", "socket", l.Addr(), "error", err)
			}
		})
	}
}

func (d *docker) close() error {
	err := d.server.Close()
	d.serving.Wait()
	return err
}
