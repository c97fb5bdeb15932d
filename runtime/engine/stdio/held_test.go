package stdio_test

import (
	"bytes"
	"fmt"
	"os"
	"testing"

	"berth/runtime/engine/stdio"
)

// heldHub is a hub whose output is held, and the writing ends of it.
func heldHub(t *testing.T) (h *stdio.Hub, stdout, stderr *os.File) {
	t.Helper()
	readOut, stdout, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	readErr, stderr, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	h = stdio.NewHub(stdio.HubOptions{})
	if err := h.Start(stdio.Streams{Stdout: readOut, Stderr: readErr, Held: true}); err != nil {
		t.Fatal(err)
	}
	return h, stdout, stderr
}

func TestHeldOutputIsDroppedWhereNothingStarted(t *testing.T) {
	h, stdout, stderr := heldHub(t)
	var got bytes.Buffer
	attached := make(chan error, 1)
	ready := make(chan struct{})
	go func() {
		attached <- h.Attach(t.Context(), stdio.AttachOptions{Stdout: &got, Stderr: &got, Ready: func() { close(ready) }})
	}()
	<-ready
	fmt.Fprint(stderr, "runc: cannot start")
	_ = stdout.Close()
	_ = stderr.Close()
	h.Close()
	if err := <-attached; err != nil || got.Len() > 0 {
		t.Errorf("%q, %v", got.String(), err)
	}
}

func TestHeldOutputIsWholeAfterTheStart(t *testing.T) {
	h, stdout, stderr := heldHub(t)
	var got bytes.Buffer
	attached := make(chan error, 1)
	ready := make(chan struct{})
	go func() {
		attached <- h.Attach(t.Context(), stdio.AttachOptions{Stdout: &got, Stderr: &got, Ready: func() { close(ready) }})
	}()
	<-ready
	_ = stderr.Close()
	written := make(chan struct{})
	const lines = 50000 // more than is held and the pipe takes
	go func() {
		defer close(written)
		for i := range lines {
			fmt.Fprintf(stdout, "%06d\n", i)
		}
		_ = stdout.Close()
	}()
	h.Release()
	<-written
	h.Drain(t.Context())
	if err := <-attached; err != nil {
		t.Fatal(err)
	}
	for i, line := range bytes.Split(bytes.TrimSpace(got.Bytes()), []byte("\n")) {
		if string(line) != fmt.Sprintf("%06d", i) {
			t.Fatalf("line %d is %q", i, line)
		}
	}
	if got.Len() != lines*7 {
		t.Errorf("%d bytes, want %d", got.Len(), lines*7)
	}
}
