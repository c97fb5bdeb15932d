package join_test

import (
	"reflect"
	"testing"

	"berth/runtime/engine/oci/join"
)

var full = join.Request{
	Groups: []string{"/a/tasks", "/b/tasks"}, Args: []string{"sh", "-c", "\x00"}, Env: []string{"A=1", ""}, Cwd: "/x", UID: 1, GID: 4294967295,
	Extra: []uint32{1, 2}, Umask: -1, Bounding: 1 << 40, Effective: 1, Permitted: 2, Inheritable: 3, NoNewPrivileges: true,
	Filter: []byte{0, 1, 2}, FilterFlags: 4, Rlimits: []join.Rlimit{{Resource: 7, Soft: 1, Hard: 1<<64 - 1}}, OOMScoreAdj: -500, TTY: true, Rows: 24, Cols: 80,
}

func TestRequest(t *testing.T) {
	for _, r := range []join.Request{full, {Args: []string{"x"}, Filter: []byte{}}} {
		got, err := join.Decode(r.Encode())
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(*got, r) {
			t.Errorf("got %+v, want %+v", *got, r)
		}
	}
	whole := full.Encode()
	for n := range whole {
		if _, err := join.Decode(whole[:n]); err == nil {
			t.Fatalf("%d of %d bytes are taken for a request", n, len(whole))
		}
	}
	if _, err := join.Decode(append(whole, 0)); err == nil {
		t.Error("what follows a request is not noticed")
	}
	if _, err := join.Decode((&join.Request{}).Encode()); err == nil {
		t.Error("a request without a program")
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(full.Encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := join.Decode(b)
		if err != nil {
			return
		}
		again, err := join.Decode(r.Encode())
		if err != nil || !reflect.DeepEqual(r, again) {
			t.Errorf("%+v became %+v, %v", r, again, err)
		}
	})
}
