package main

import "testing"

func TestAddressesOfMirrors(t *testing.T) {
	for mirror, want := range map[string]string{
		"127.0.0.1": "127.0.0.1:443", "http://127.0.0.1": "127.0.0.1:80", "127.0.0.1:5000": "127.0.0.1:5000",
		"https://127.0.0.1:8443/v2/": "127.0.0.1:8443",
	} {
		got, err := mirrorAddresses(t.Context(), []string{mirror})
		if err != nil || len(got) != 1 || got[0].String() != want {
			t.Errorf("%s: %v, %v; want %s", mirror, got, err, want)
		}
	}
	for _, mirror := range []string{"", "http://", "127.0.0.1:http", "no such host", "127.0.0.1:99999"} {
		if got, err := mirrorAddresses(t.Context(), []string{mirror}); err == nil {
			t.Errorf("%q: %v", mirror, got)
		}
	}
}
