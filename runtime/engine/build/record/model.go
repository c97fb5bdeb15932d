package record

import "time"

// State is how far a build is.
type State string

// States of builds and, except Waiting and Cached, of steps.
const (
	Running   State = "running"
	Succeeded State = "succeeded"
	Failed    State = "failed"
	Cancelled State = "cancelled"
	Waiting   State = "waiting" // a step only
	Cached    State = "cached"  // a step only
)

// Origins of builds.
const (
	FromPage   = "page"   // asked for by the sandbox API
	FromDocker = "docker" // by docker build, buildx, compose
)

// About is what a build was asked to do.
type About struct {
	ID         string            `json:"id"`
	Source     string            `json:"source"`
	Context    string            `json:"context"`
	Dockerfile string            `json:"dockerfile"`
	Target     string            `json:"target"`
	Tags       []string          `json:"tags"`
	Args       map[string]string `json:"args"`
	NoCache    bool              `json:"no_cache"`
}

// Summary is a build without its steps.
type Summary struct {
	About
	State     State      `json:"state"`
	StartedAt time.Time  `json:"started_at"`
	EndedAt   *time.Time `json:"ended_at"`
	Image     string     `json:"image"`      // ID; empty: none was made
	ImageSize int64      `json:"image_size"` // bytes of the files of all layers
	Error     *Error     `json:"error"`
	Totals    Totals     `json:"totals"`
	Warnings  []Warning  `json:"warnings"`
}

// Whole is all that is known of a build but its log.
type Whole struct {
	Summary
	Text  string `json:"dockerfile_text"`
	Steps []Step `json:"steps"`
}

// Totals counts the steps that are instructions of the Dockerfile.
type Totals struct {
	Steps  int `json:"steps"`
	Done   int `json:"done"` // cached ones too
	Cached int `json:"cached"`
}

// Error is why a build failed. Lines count from 1; 0: none is known.
type Error struct {
	Message  string `json:"message"`
	Step     string `json:"step"`
	Line     int    `json:"line"`
	EndLine  int    `json:"end_line"`
	ExitCode int    `json:"exit_code"` // of the step's process; 0: it did not exit with one
}

// Step is a vertex of BuildKit's graph.
type Step struct {
	ID          string     `json:"id"`
	Name        string     `json:"name"`
	Stage       string     `json:"stage"`
	Instruction string     `json:"instruction"`
	Internal    bool       `json:"internal"`
	Line        int        `json:"line"`
	EndLine     int        `json:"end_line"`
	Inputs      []string   `json:"inputs"`
	State       State      `json:"state"`
	StartedAt   *time.Time `json:"started_at"`
	EndedAt     *time.Time `json:"ended_at"`
	DurationMS  int64      `json:"duration_ms"` // of its work: waits between are not in it
	Size        *int64     `json:"size"`        // bytes of the layer that it made
	Progress    []Progress `json:"progress"`
	Error       string     `json:"error"`
}

// Progress is one of the things that a step does: a layer that it extracts.
type Progress struct {
	Name    string `json:"name"`
	Current int64  `json:"current"`
	Total   int64  `json:"total"`
}

// Warning is what a rule of the linter says.
type Warning struct {
	Rule    string `json:"rule"`
	Message string `json:"message"`
	Detail  string `json:"detail"`
	URL     string `json:"url"`
	Line    int    `json:"line"`
	EndLine int    `json:"end_line"`
}

// Log is some output of a step.
type Log struct {
	Step   string    `json:"step"`
	Time   time.Time `json:"time"`
	Stream int       `json:"stream"` // 1 standard output, 2 standard error
	Text   string    `json:"text"`
}

// Planned is a step as the definition says it, before it runs.
type Planned struct {
	ID, Name      string
	Inputs        []string
	Line, EndLine int
}
