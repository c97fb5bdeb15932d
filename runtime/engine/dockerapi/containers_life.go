package dockerapi

import (
	"encoding/json"
	"io"
	"net/http"
	"strconv"

	"github.com/moby/moby/api/types/common"
	containertypes "github.com/moby/moby/api/types/container"

	"berth/runtime/engine/container"
)

func (c Containers) start(w http.ResponseWriter, r *http.Request) error {
	if r.FormValue("checkpoint") != "" {
		return Unsupported("checkpoint")
	}
	return done(w, c.Manager.Start(r.Context(), Var(r, "name")))
}

func (c Containers) stop(w http.ResponseWriter, r *http.Request) error {
	o, err := stopOptions(r)
	if err != nil {
		return err
	}
	return done(w, c.Manager.Stop(r.Context(), Var(r, "name"), o))
}

func (c Containers) restart(w http.ResponseWriter, r *http.Request) error {
	o, err := stopOptions(r)
	if err != nil {
		return err
	}
	return done(w, c.Manager.Restart(r.Context(), Var(r, "name"), o))
}

func stopOptions(r *http.Request) (container.StopOptions, error) {
	o := container.StopOptions{Signal: r.FormValue("signal")}
	if v := r.FormValue("t"); v != "" {
		seconds, err := strconv.Atoi(v)
		if err != nil {
			return o, Invalid("invalid stop timeout %q", v)
		}
		o.Timeout = &seconds
	}
	return o, nil
}

func (c Containers) kill(w http.ResponseWriter, r *http.Request) error {
	return done(w, c.Manager.Kill(r.Context(), Var(r, "name"), r.FormValue("signal")))
}

func (c Containers) pause(w http.ResponseWriter, r *http.Request) error {
	return done(w, c.Manager.Pause(r.Context(), Var(r, "name")))
}

func (c Containers) unpause(w http.ResponseWriter, r *http.Request) error {
	return done(w, c.Manager.Unpause(r.Context(), Var(r, "name")))
}

// wait answers with the status at once, so that a client knows that it is heard before it starts the container, and with the
// exit code when there is one.
func (c Containers) wait(w http.ResponseWriter, r *http.Request) error {
	exit, stop, err := c.Manager.Wait(Var(r, "name"), containertypes.WaitCondition(r.FormValue("condition")))
	if err != nil {
		return err
	}
	defer stop()
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusOK)
	if err := http.NewResponseController(w).Flush(); err != nil {
		return err
	}
	select {
	case status := <-exit:
		return json.NewEncoder(w).Encode(status)
	case <-r.Context().Done():
		return nil
	}
}

func (c Containers) top(w http.ResponseWriter, r *http.Request) error {
	list, err := c.Manager.Top(Var(r, "name"), r.FormValue("ps_args"))
	if err != nil {
		return err
	}
	return JSON(w, http.StatusOK, list)
}

func (c Containers) stats(w http.ResponseWriter, r *http.Request) error {
	stream := !r.URL.Query().Has("stream") || Flag(r, "stream")
	oneShot := Flag(r, "one-shot")
	if stream && oneShot {
		return Invalid("cannot have stream=true and one-shot=true")
	}
	out := NewStream(w)
	return c.Manager.Stats(r.Context(), Var(r, "name"), stream, oneShot, func(s containertypes.StatsResponse) error { return out.Send(s) })
}

func (c Containers) changes(w http.ResponseWriter, r *http.Request) error {
	list, err := c.Manager.Changes(r.Context(), Var(r, "name"))
	if err != nil {
		return err
	}
	return JSON(w, http.StatusOK, list)
}

func (c Containers) export(w http.ResponseWriter, r *http.Request) error {
	begun := false
	err := c.Manager.Export(r.Context(), Var(r, "name"), func() io.Writer {
		w.Header().Set("Content-Type", "application/x-tar")
		begun = true
		return w
	})
	if err != nil && begun {
		panic(http.ErrAbortHandler) // the client must not take a part for the whole
	}
	return err
}

func (c Containers) commit(w http.ResponseWriter, r *http.Request) error {
	var config *containertypes.Config
	if err := Decode(w, r, &config); err != nil {
		return err
	}
	if config != nil {
		if err := commitFields.refuse(*config); err != nil {
			return err
		}
	}
	o := container.CommitOptions{
		Repo: r.FormValue("repo"), Tag: r.FormValue("tag"), Author: r.FormValue("author"), Comment: r.FormValue("comment"),
		Changes: r.Form["changes"], Config: config, Pause: !r.URL.Query().Has("pause") || Flag(r, "pause"),
	}
	made, err := c.Manager.Commit(r.Context(), r.FormValue("container"), o)
	if err != nil {
		return err
	}
	return JSON(w, http.StatusCreated, containertypes.CommitResponse{ID: made.ID})
}

func (c Containers) execCreate(w http.ResponseWriter, r *http.Request) error {
	var request containertypes.ExecCreateRequest
	if err := Decode(w, r, &request); err != nil {
		return err
	}
	id, err := c.Manager.ExecCreate(r.Context(), Var(r, "name"), request)
	if err != nil {
		return err
	}
	return JSON(w, http.StatusCreated, common.IDResponse{ID: id})
}

func (c Containers) execInspect(w http.ResponseWriter, r *http.Request) error {
	found, err := c.Manager.ExecInspect(Var(r, "id"))
	if err != nil {
		return err
	}
	return JSON(w, http.StatusOK, found)
}
