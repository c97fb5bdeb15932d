package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"text/tabwriter"

	"berth/doctor"
	"berth/runtime/sandbox"
)

// doctorCmd says what this host has and lacks.
type doctorCmd struct {
	JSON    bool   `name:"json" help:"Print the checks as JSON."`
	DataDir string `default:"/var/lib/berth" env:"BERTH_DATA_DIR" help:"Where the server keeps sessions' disks and images." type:"path"`
	Runc    string `env:"BERTH_RUNC" help:"The runc to use. Default: next to berth, else in PATH." type:"path"`
	Docker  string `name:"docker-dir" env:"BERTH_DOCKER_DIR" help:"Directory of the docker command and its plugins. Default: berth's own." type:"path"`
}

// Run prints one line for each check; the status is 1 where a must is missing.
func (d *doctorCmd) Run(ctx context.Context) error {
	docker, err := dockerDir(d.Docker)
	if err != nil {
		return err
	}
	checks := doctor.Run(ctx, doctor.Config{DataDir: d.DataDir, Runc: d.Runc, Docker: sandbox.DockerPrograms(docker)})
	if d.JSON {
		e := json.NewEncoder(os.Stdout)
		e.SetIndent("", "  ")
		err = e.Encode(checks)
	} else {
		err = printChecks(os.Stdout, checks)
	}
	if err != nil {
		return err
	}
	for _, c := range checks {
		if c.Must && c.Status == doctor.Missing {
			return exitStatus(1)
		}
	}
	return nil
}

func printChecks(out io.Writer, checks []doctor.Check) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, c := range checks {
		need := "may"
		if c.Must {
			need = "must"
		}
		line := fmt.Sprintf("%s\t%s\t%s\t%s", c.Status, need, c.Name, c.Detail)
		if c.Mend != "" {
			line += ". Mend: " + c.Mend
		}
		if _, err := fmt.Fprintln(w, line); err != nil {
			return err
		}
	}
	return w.Flush()
}

// doctorProbeCmd is the inside of the sandbox that doctor builds to try things; nobody calls it by hand.
type doctorProbeCmd struct{}

// Run tries.
func (*doctorProbeCmd) Run() error { return doctor.Probe() }
