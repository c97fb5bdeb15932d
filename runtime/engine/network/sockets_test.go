package network_test

import (
	"testing"

	"berth/runtime/engine/network"
)

func TestParseSocket(t *testing.T) {
	for s, want := range map[string]string{
		"0100007F:1F90": "127.0.0.1:8080", "00000000:0016": "0.0.0.0:22",
		"00000000000000000000000001000000:0050": "[::1]:80", "0000000000000000FFFF00000100007F:0050": "127.0.0.1:80",
	} {
		if got, err := network.ParseSocket(s); err != nil || got.String() != want {
			t.Errorf("%s: %v %v, want %s", s, got, err, want)
		}
	}
	for _, s := range []string{"", "0100007F", "0100007F:", "0100007F:10000", "0100:1F90", "x100007F:1F90"} {
		if got, err := network.ParseSocket(s); err == nil {
			t.Errorf("%q: %v", s, got)
		}
	}
}

func FuzzParseSocket(f *testing.F) {
	f.Add("0100007F:1F90")
	f.Fuzz(func(_ *testing.T, s string) { _, _ = network.ParseSocket(s) })
}
