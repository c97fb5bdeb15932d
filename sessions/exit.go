package sessions

import "fmt"

// watchExit brings the session's end about when its sandbox ends by itself.
func (h *hold) watchExit(sandbox Sandbox) {
	for attempt := 0; ; attempt++ {
		exit, err := sandbox.Wait(h.ctx)
		if h.ctx.Err() != nil {
			return
		}
		if err == nil {
			h.cancel(endByExit(exit))
			return
		}
		h.m.log.Warn("watch sandbox", "session", h.id, "error", err)
		if !pause(h.ctx, retryAfter(attempt)) {
			return
		}
	}
}

func endByExit(exit Exit) *End {
	end := &End{Reason: exit.Reason, Err: fmt.Errorf("sandbox ended by itself: %s", orSentence(exit.Message, "no reason given"))}
	switch exit.Reason {
	case OutOfMemory:
		end.Message = "The machine itself ran out of memory and was ended. Start a new one, and run less in it at a time."
	case DiskFull:
		end.Message = "The machine's disk was full and it could not go on. Start a new one, and store less in it."
	case Closed:
		end.Message = "The machine was shut down from inside. Start a new one to go on."
	default:
		end.Reason = Crashed
		end.Message = "The machine stopped unexpectedly and its files are gone. Start a new one to go on; if this happens again, tell the operator."
	}
	return end
}
