package filter_test

import (
	"testing"

	"github.com/containerd/errdefs"

	"berth/runtime/engine/filter"
)

func TestArgs(t *testing.T) {
	labels := map[string]string{"a": "b", "empty": ""}
	for _, c := range []struct {
		query string
		want  bool // matches name "web-1", id "abcdef" and labels
	}{
		{``, true},
		{`{}`, true},
		{`{"name":{"web":true}}`, true},
		{`{"name":["^web-.$"]}`, true},
		{`{"name":{"db":true}}`, false},
		{`{"name":{"db":true,"web":true}}`, true},
		{`{"name":{"(":true}}`, false},
		{`{"id":{"abc":true}}`, true},
		{`{"id":{"bc":true}}`, false},
		{`{"driver":{"local":true}}`, true},
		{`{"driver":{"loc":true}}`, false},
		{`{"label":{"a":true}}`, true},
		{`{"label":{"a=b":true,"empty":true}}`, true},
		{`{"label":{"a=c":true}}`, false},
		{`{"label":{"a=":true}}`, false},
		{`{"label!":{"a":true}}`, false},
		{`{"label!":{"a=c":true}}`, true},
	} {
		a, err := filter.Parse(c.query)
		if err != nil {
			t.Errorf("%s: %v", c.query, err)
			continue
		}
		if got := a.Match("name", "web-1") && a.Prefix("id", "abcdef") && a.Exact("driver", "local") && a.Labels(labels); got != c.want {
			t.Errorf("%s: %v, want %v", c.query, got, c.want)
		}
	}
}

func TestRefused(t *testing.T) {
	for _, query := range []string{`{`, `[]`, `{"a":1}`, `"a"`} {
		if _, err := filter.Parse(query); !errdefs.IsInvalidArgument(err) {
			t.Errorf("%s: %v", query, err)
		}
	}
	a := filter.Args{"dangling": {"maybe": true}}
	if _, err := a.Bool("dangling", false); !errdefs.IsInvalidArgument(err) {
		t.Errorf("dangling=maybe: %v", err)
	}
	if err := a.Only("name"); !errdefs.IsInvalidArgument(err) || err.Error() != "invalid filter 'dangling'" {
		t.Errorf("unknown filter: %v", err)
	}
	if b, err := (filter.Args{"dangling": {"1": true}}).Bool("dangling", false); !b || err != nil {
		t.Errorf("dangling=1: %v, %v", b, err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add(`{"name":{"web":true}}`)
	f.Add(`{"name":["web"]}`)
	f.Fuzz(func(_ *testing.T, s string) {
		if a, err := filter.Parse(s); err == nil {
			a.Match("name", "x")
			a.Labels(nil)
		}
	})
}
