package record_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/moby/buildkit/client"

	"berth/runtime/engine/build/record"
)

// TestRealBuilds replays what BuildKit said of real builds: docker build --progress=rawjson.
func TestRealBuilds(t *testing.T) {
	for name, c := range map[string]struct {
		end    record.Outcome
		totals record.Totals
		states []string // of the instructions, in the order in which BuildKit tells them
		error  string   // the step that it is of
		log    []string
	}{
		"two-stages": {
			end: record.Outcome{State: record.Succeeded}, totals: record.Totals{Steps: 4, Done: 4},
			states: []string{"COPY succeeded", "COPY succeeded", "RUN succeeded", "FROM succeeded"},
			log:    []string{"#1 [internal] load build definition from Dockerfile\n", " 100+0 records out\n", "naming to docker.io/library/x"},
		},
		"cached": {
			end: record.Outcome{State: record.Succeeded}, totals: record.Totals{Steps: 4, Done: 4, Cached: 3},
			states: []string{"COPY cached", "COPY cached", "RUN cached", "FROM succeeded"},
			log:    []string{"CACHED\n"},
		},
		"failing": {
			end: record.Outcome{State: record.Failed, Error: &record.Error{Message: "exit code: 42", ExitCode: 42}}, totals: record.Totals{Steps: 5, Done: 3, Cached: 1},
			states: []string{"RUN cancelled", "RUN failed", "RUN succeeded", "WORKDIR succeeded", "FROM cached"},
			error:  "RUN echo half > made", log: []string{"ERROR: process", "ERROR: exit code: 42\n"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := begin(t, open(t, t.TempDir()), "one")
			replay(t, b, name)
			b.End(c.end)
			w := whole(t, b)
			var states []string
			for _, s := range w.Steps {
				if word, _, _ := strings.Cut(s.Instruction, " "); strings.ToUpper(word) == word && !s.Internal {
					states = append(states, fmt.Sprintf("%s %s", word, s.State))
				}
			}
			if strings.Join(states, ",") != strings.Join(c.states, ",") || w.Totals != c.totals {
				t.Errorf("states %q, totals %+v", states, w.Totals)
			}
			if c.error != "" {
				at := ""
				for _, s := range w.Steps {
					if s.ID == w.Error.Step {
						at = s.Instruction
					}
				}
				if !strings.HasPrefix(at, c.error) {
					t.Errorf("the error is of %q", at)
				}
			}
			var out bytes.Buffer
			if err := b.Plain(t.Context(), &out); err != nil {
				t.Fatal(err)
			}
			for _, want := range c.log {
				if !strings.Contains(out.String(), want) {
					t.Errorf("the log has no %q:\n%s", want, out.String())
				}
			}
			if all := events(t, b, 0); all[len(all)-1].Kind != record.KindEnd {
				t.Errorf("the last event is %+v", all[len(all)-1])
			}
		})
	}
}

// replay feeds a record with messages from testdata.
func replay(t *testing.T, b *record.Build, name string) {
	t.Helper()
	text, err := os.ReadFile("testdata/" + name + ".jsonl")
	if err != nil {
		t.Fatal(err)
	}
	for line := range bytes.Lines(text) {
		var s client.SolveStatus
		if err := json.Unmarshal(line, &s); err != nil {
			t.Fatal(err)
		}
		b.Status(&s)
	}
}

// FuzzStatus feeds a record with messages in any order and number: it stays whole.
func FuzzStatus(f *testing.F) {
	f.Add([]byte(`{"vertexes":[{"digest":"a","name":"[x 1/2] FROM y","started":"2026-11-25T18:55:11Z"}]}`))
	f.Add([]byte(`{"logs":[{"vertex":"a","data":"wyg=","timestamp":"2026-11-25T18:55:11Z"}],"statuses":[{"id":"x","vertex":"b"}]}`))
	f.Add([]byte(`{"warnings":[{"vertex":"a","short":"UjogeCAobGluZSAwKQ=="}],"vertexes":[{"digest":"a","completed":"2026-11-25T18:55:11Z","error":"e"}]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		b := begin(t, open(t, t.TempDir()), "one")
		for line := range bytes.Lines(body) {
			var s client.SolveStatus
			if json.Unmarshal(line, &s) == nil && !holes(&s) {
				b.Status(&s)
			}
		}
		b.End(record.Outcome{State: record.Succeeded})
		for _, s := range whole(t, b).Steps {
			if s.State == record.Running || s.State == record.Waiting {
				t.Errorf("a step of a build that has ended is %s", s.State)
			}
		}
		events(t, b, 0)
		if err := b.Plain(t.Context(), &bytes.Buffer{}); err != nil {
			t.Error(err)
		}
	})
}

// holes finds what BuildKit never sends.
func holes(s *client.SolveStatus) bool {
	for _, v := range s.Vertexes {
		if v == nil {
			return true
		}
	}
	for _, v := range s.Statuses {
		if v == nil {
			return true
		}
	}
	for _, v := range s.Logs {
		if v == nil {
			return true
		}
	}
	for _, v := range s.Warnings {
		if v == nil {
			return true
		}
	}
	return false
}
