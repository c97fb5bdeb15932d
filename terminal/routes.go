package terminal

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"

	"github.com/gorilla/websocket"
)

// maxClientID bounds a client's id, in bytes.
const maxClientID = 64

// Routes adds the terminals' part of the sandbox API to mux, below prefix: "/v1" makes it /v1/terminals. Connections end
// with the Set, not with the http.Server, which forgets them at the upgrade. Any Origin is accepted.
func (s *Set) Routes(mux *http.ServeMux, prefix string) {
	mux.HandleFunc("GET "+prefix+"/terminals", s.serveList)
	mux.HandleFunc("GET "+prefix+"/terminals/{name}", s.serveTerminal)
	mux.HandleFunc("DELETE "+prefix+"/terminals/{name}", s.serveDelete)
}

func (s *Set) serveList(w http.ResponseWriter, _ *http.Request) {
	body, err := json.Marshal(s.List())
	if err != nil {
		problem(w, http.StatusInternalServerError, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(body)
}

func (s *Set) serveDelete(w http.ResponseWriter, r *http.Request) {
	if err := s.Delete(r.Context(), r.PathValue("name")); err != nil {
		problem(w, statusOf(err), err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func (s *Set) serveTerminal(w http.ResponseWriter, r *http.Request) {
	if !websocket.IsWebSocketUpgrade(r) || !slices.Contains(websocket.Subprotocols(r), Subprotocol) {
		w.Header().Set("Upgrade", "websocket")
		problem(w, http.StatusUpgradeRequired, errors.New("a terminal is a websocket with subprotocol "+Subprotocol))
		return
	}
	req, err := parseView(r.URL.Query())
	if err != nil {
		problem(w, http.StatusBadRequest, err)
		return
	}
	t, err := s.Open(r.Context(), r.PathValue("name"), req.size)
	if status := statusOf(err); err != nil && status != http.StatusInternalServerError {
		problem(w, status, err)
		return
	}
	var v *viewer
	if err == nil {
		if v, err = t.attach(req); err != nil {
			problem(w, statusOf(err), err)
			return
		}
	}
	conn, upgradeErr := s.transport.upgrader.Upgrade(w, r, nil)
	switch {
	case upgradeErr != nil && v != nil: // the peer was told
		t.detach(v)
	case upgradeErr == nil && err != nil:
		s.transport.sorry(conn, err)
	case upgradeErr == nil:
		s.transport.serve(conn, v)
	}
}

// sorry tells a browser, which cannot read a refused handshake, that the program does not start.
func (x *transport) sorry(conn *websocket.Conn, err error) {
	text := err.Error()
	frame := appendJSON(nil, Status{Type: Failed, Message: text[:min(len(text), maxErrorText)]})
	_ = conn.SetWriteDeadline(now().Add(closeTimeout))
	_ = conn.WriteMessage(websocket.BinaryMessage, frame)
	farewell(conn, &websocket.CloseError{Code: websocket.CloseInternalServerErr, Text: text})
	linger(conn)
	_ = conn.Close()
}

// parseView reads the query of a terminal's websocket.
func parseView(q url.Values) (viewRequest, error) {
	size, err := SizeFromQuery(q)
	if err != nil {
		return viewRequest{}, err
	}
	req := viewRequest{size: size, client: q.Get("client")}
	if len(req.client) > maxClientID {
		return viewRequest{}, fmt.Errorf("client has at most %d bytes", maxClientID)
	}
	if q.Has("after") {
		after, err := strconv.ParseUint(q.Get("after"), 10, 64)
		if err != nil {
			return viewRequest{}, fmt.Errorf("after=%.40q is not a sequence number", q.Get("after"))
		}
		req.after = &after
	}
	return req, nil
}

// statusOf is the HTTP status of an error of a Set.
func statusOf(err error) int {
	for _, known := range []struct {
		err    error
		status int
	}{
		{ErrName, http.StatusBadRequest},
		{ErrSize, http.StatusBadRequest},
		{ErrNotFound, http.StatusNotFound},
		{ErrTooMany, http.StatusConflict},
		{ErrTooManyViewers, http.StatusConflict},
		{ErrClosed, http.StatusServiceUnavailable},
	} {
		if errors.Is(err, known.err) {
			return known.status
		}
	}
	return http.StatusInternalServerError
}

// problem answers with a problem document: RFC 9457.
func problem(w http.ResponseWriter, status int, err error) {
	body, _ := json.Marshal(map[string]any{"title": http.StatusText(status), "status": status, "detail": err.Error()})
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	_, _ = w.Write(body)
}
