package api

import (
	"io"
	"net"
	"net/http"
	"sync"
)

// halves is a connection of which one direction can end before the other, as TCP and unix sockets can.
type halves interface {
	net.Conn
	CloseWrite() error
}

// tunnel takes the request's connection over and joins it with there until both directions have ended, or one has failed.
func tunnel(w http.ResponseWriter, there net.Conn) {
	defer there.Close()
	here, early, err := http.NewResponseController(w).Hijack()
	if err != nil {
		problem(w, http.StatusInternalServerError, err.Error())
		return
	}
	defer here.Close()
	const switching = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: " + PortProtocol + "\r\n\r\n"
	if _, err := io.WriteString(here, switching); err != nil {
		return // the client has gone
	}
	from := io.Reader(here) // as it is: the kernel then moves the bytes, splice(2)
	if n := early.Reader.Buffered(); n > 0 {
		from = io.MultiReader(io.LimitReader(early.Reader, int64(n)), here)
	}
	var passing sync.WaitGroup
	for _, p := range []struct {
		to   net.Conn
		from io.Reader
	}{{there, from}, {here, there}} {
		passing.Go(func() {
			if pass(p.to, p.from) != nil {
				_, _ = here.Close(), there.Close() // wakes the other direction
			}
		})
	}
	passing.Wait()
}

// pass copies until the end of from, and passes that end on.
func pass(to net.Conn, from io.Reader) error {
	if _, err := io.Copy(to, from); err != nil {
		return err
	}
	if h, ok := to.(halves); ok {
		return h.CloseWrite()
	}
	return to.Close()
}
