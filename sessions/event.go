package sessions

import "berth/quotas"

// Event is one thing that happened to a session, in the order it happened. Type says which field is set.
type Event struct {
	Type    EventType     `json:"type"`
	Session *Session      `json:"session,omitempty"`
	Usage   *quotas.Usage `json:"usage,omitempty"`
	Notice  *Notice       `json:"notice,omitempty"`
}

// EventType names a kind of event; it is the `event:` field of the SSE stream.
type EventType string

// The kinds of event.
const (
	EventSession EventType = "session" // the session changed: state, place in the queue, expiry
	EventUsage   EventType = "usage"   // about once a second while somebody watches
	EventNotice  EventType = "notice"  // a limit was met, or the end is near
)

// Notice tells a visitor about a limit. Message is one sentence that says what happened and what to do.
type Notice struct {
	Kind    string `json:"kind"` // expiring, idle, memory, pids, disk, inodes, egress
	Message string `json:"message"`
}
