package doctor_test

import (
	"path/filepath"
	"strings"
	"testing"

	"berth/doctor"
)

func TestDockerCommand(t *testing.T) {
	c := config(t)
	c.Docker = []string{c.Runc, filepath.Join(filepath.Dir(c.Runc), "docker-compose")}
	got := find(t, doctor.Run(t.Context(), c), "docker command")
	if got.Status != doctor.Degraded || got.Must || !strings.Contains(got.Detail, "no docker-compose") || !strings.Contains(got.Mend, "make build") {
		t.Errorf("without docker-compose: %+v", got)
	}
	c.Docker = c.Docker[:1]
	if got := find(t, doctor.Run(t.Context(), c), "docker command"); got.Status != doctor.OK {
		t.Errorf("with all: %+v", got)
	}
}
