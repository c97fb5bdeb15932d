package image_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/containerd/errdefs"

	"berth/runtime/engine/image"
)

// Each instruction, as `docker import --change` takes it; what Docker 28.2.2 makes of the same.
func TestInstructions(t *testing.T) {
	s := open(t, newHost(t))
	layer := tarOf(t, entry{name: "a", text: "x"})
	for change, want := range map[string]string{
		`CMD ["a","b c"]`:                                  `{"Cmd":["a","b c"]}`,
		`cmd echo $HOME`:                                   `{"Cmd":["/bin/sh","-c","echo $HOME"]}`,
		`ENTRYPOINT ["/x"]`:                                `{"Entrypoint":["/x"]}`,
		`ENV A=1 B="two words" C=\$x`:                      `{"Env":["A=1","B=two words","C=$x"]}`,
		`ENV OLD form of it`:                               `{"Env":["OLD=form of it"]}`,
		"ENV A=1\nENV B=$A/${A}x'$A'":                      `{"Env":["A=1","B=1/1x$A"]}`,
		"ENV A=1\nENV A=2":                                 `{"Env":["A=2"]}`,
		`EXPOSE 80 53/udp 7000-7001`:                       `{"ExposedPorts":{"53/udp":{},"7000/tcp":{},"7001/tcp":{},"80/tcp":{}}}`,
		`LABEL a=b "c d"="e f"`:                            `{"Labels":{"a":"b","c d":"e f"}}`,
		`ONBUILD RUN make`:                                 `{"OnBuild":["RUN make"]}`,
		`USER www-data:33`:                                 `{"User":"www-data:33"}`,
		`VOLUME /a /b`:                                     `{"Volumes":{"/a":{},"/b":{}}}`,
		`VOLUME ["/a b"]`:                                  `{"Volumes":{"/a b":{}}}`,
		"WORKDIR /a\nWORKDIR b/../c":                       `{"WorkingDir":"/a/c"}`,
		`STOPSIGNAL SIGINT`:                                `{"StopSignal":"SIGINT"}`,
		`SHELL ["/bin/bash","-c"]`:                         `{"Shell":["/bin/bash","-c"]}`,
		`HEALTHCHECK NONE`:                                 `{"Healthcheck":{"Test":["NONE"]}}`,
		`HEALTHCHECK --interval=5s --retries=3 CMD curl x`: `{"Healthcheck":{"Test":["CMD-SHELL","curl x"],"Interval":5000000000,"Retries":3}}`,
		`HEALTHCHECK CMD ["a"]`:                            `{"Healthcheck":{"Test":["CMD","a"]}}`,
	} {
		img, err := s.Import(t.Context(), bytes.NewReader(layer), image.ImportOptions{Changes: []string{change}})
		if err != nil {
			t.Errorf("%s: %v", change, err)
			continue
		}
		got, err := json.Marshal(img.Config.Config)
		if err != nil || string(got) != want {
			t.Errorf("%s:\ngot  %s\nwant %s", change, got, want)
		}
	}
	for change, want := range map[string]string{
		"RUN make":            "RUN is not a valid change command",
		"CMD":                 "CMD requires at least one argument",
		"EXPOSE 0":            "invalid containerPort: 0",
		"EXPOSE 80/icmp":      "invalid containerPort: 80/icmp",
		"ENV A":               "ENV must have two arguments",
		`ENV A="b`:            "unexpected end of statement",
		"LABEL =b":            "names can not be blank",
		"SHELL /bin/sh":       "SHELL requires the arguments to be in JSON form",
		"ONBUILD ONBUILD X":   "isn't allowed",
		"HEALTHCHECK FOO":     "unknown type",
		"HEALTHCHECK --x=1 A": "unknown flag: x",
		"WORKDIR a b":         "requires exactly one argument",
	} {
		_, err := s.Import(t.Context(), bytes.NewReader(layer), image.ImportOptions{Changes: []string{change}})
		if !errdefs.IsInvalidArgument(err) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", change, err, want)
		}
	}
}
