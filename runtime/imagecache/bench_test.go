package imagecache_test

import (
	"archive/tar"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"berth/runtime/imagecache"
)

// rootFS returns the tar to measure with: BERTH_BENCH_ROOTFS (a Debian, say), or one of the same shape: 11000 entries in
// 190 MB, most of them small.
func rootFS(b *testing.B) string {
	b.Helper()
	if path := os.Getenv("BERTH_BENCH_ROOTFS"); path != "" {
		return path
	}
	path := filepath.Join(b.TempDir(), "rootfs.tar")
	f, err := os.Create(path)
	if err != nil {
		b.Fatal(err)
	}
	w, random := tar.NewWriter(f), rand.New(rand.NewPCG(1, 2))
	body := make([]byte, 1<<20)
	for i := range body {
		body[i] = byte(random.Uint32())
	}
	for i := range 11_000 {
		size := int64(random.ExpFloat64() * 17_000)
		size = min(size, int64(len(body)))
		h := &tar.Header{Typeflag: tar.TypeReg, Name: fmt.Sprintf("d%d/d%d/f%d", i/1000, i/50, i), Mode: 0o644, Size: size}
		if err := w.WriteHeader(h); err != nil {
			b.Fatal(err)
		}
		if _, err := w.Write(body[:size]); err != nil {
			b.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		b.Fatal(err)
	}
	if err := f.Close(); err != nil {
		b.Fatal(err)
	}
	return path
}

// BenchmarkImport measures an import against `tar -x` of the same file; both until the data is on the disk (sync -f), for
// an import promises that. It reports the ratio.
func BenchmarkImport(b *testing.B) {
	path := rootFS(b)
	plain, ours := time.Duration(0), time.Duration(0)
	for b.Loop() {
		dir := b.TempDir()
		start := time.Now()
		if out, err := exec.CommandContext(b.Context(), "sh", "-c", `tar -C "$1" -xpf "$2" && sync -f "$1"`, "-", dir, path).CombinedOutput(); err != nil {
			b.Fatalf("%v: %s", err, out)
		}
		plain += time.Since(start)
		c, _ := open(b)
		start = time.Now()
		if _, err := c.ImportRootFS(b.Context(), path, imagecache.RootFSOptions{Name: "bench"}); err != nil {
			b.Fatal(err)
		}
		ours += time.Since(start)
	}
	b.ReportMetric(plain.Seconds()/float64(b.N), "tar-s/op")
	b.ReportMetric(ours.Seconds()/float64(b.N), "import-s/op")
	b.ReportMetric(ours.Seconds()/plain.Seconds(), "import/tar")
}

// BenchmarkResolve is what each launch of a sandbox pays.
func BenchmarkResolve(b *testing.B) {
	c, _ := open(b)
	if _, err := c.ImportRootFS(b.Context(), tarFile(b, "file"), imagecache.RootFSOptions{Name: "bench"}); err != nil {
		b.Fatal(err)
	}
	b.Run("Resolve", func(b *testing.B) {
		for b.Loop() {
			if _, err := c.Resolve("bench"); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("UseRelease", func(b *testing.B) {
		for b.Loop() {
			if _, err := c.Use("x", "bench"); err != nil {
				b.Fatal(err)
			}
			if err := c.Release("x"); err != nil {
				b.Fatal(err)
			}
		}
	})
}
