package stdio_test

import (
	"bytes"
	"testing"

	"berth/runtime/engine/stdio"
)

// BenchmarkWriteLog writes lines as seq(1) does.
func BenchmarkWriteLog(b *testing.B) {
	_, w := openLog(b, stdio.LogConfig{})
	p := bytes.Repeat([]byte("12345678901234567890123456789\n"), 1000)
	b.SetBytes(int64(len(p)))
	for b.Loop() {
		w.Write(stdio.Stdout, p)
	}
}

// BenchmarkReadLog reads such lines back.
func BenchmarkReadLog(b *testing.B) {
	dir, w := openLog(b, stdio.LogConfig{})
	p := bytes.Repeat([]byte("12345678901234567890123456789\n"), 100_000)
	w.Write(stdio.Stdout, p)
	b.SetBytes(int64(len(p)))
	for b.Loop() {
		readLog(b, dir, everything())
	}
}
