package sandbox

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"berth/runtime/engine/boot"
)

// programs are the files that a sandbox needs beside its own first process, in a directory that is mounted into it. The
// directory is named after their content: a sandbox keeps the ones it started with when the server is upgraded.
// It must be a directory: runc guards its own file by an overlay of the directory it is in.
func (l *Launcher) preparePrograms() error {
	sources := map[string]string{
		"runc": l.Runc, "docker-init": l.DockerInit, "docker-exec": filepath.Join(filepath.Dir(l.DockerInit), "docker-exec"),
	}
	names := []string{"docker-exec", "docker-init", "runc"}
	sum := sha256.New()
	for _, name := range names {
		if err := hashFile(sum, sources[name]); err != nil {
			return fmt.Errorf("%s: %w: build it with make build", name, err)
		}
	}
	if ca := rootCAs(); ca != "" {
		names, sources["ca-certificates.crt"] = append(names, "ca-certificates.crt"), ca
		if err := hashFile(sum, ca); err != nil {
			return fmt.Errorf("certificates: %w", err)
		}
	}
	docker, err := l.dockerPrograms(sum)
	if err != nil {
		return err
	}
	l.programs = hex.EncodeToString(sum.Sum(nil)[:8])
	dir := filepath.Join(l.programsDir(), l.programs)
	if _, err := os.Stat(dir); err == nil {
		return nil
	}
	if err := makeDir(l.programsDir(), 0o700); err != nil {
		return err
	}
	temp, err := os.MkdirTemp(l.programsDir(), ".new-")
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := copyFile(sources[name], filepath.Join(temp, name)); err != nil {
			return errors.Join(err, os.RemoveAll(temp))
		}
	}
	for _, path := range docker {
		if err := linkFile(path, filepath.Join(temp, filepath.Base(path))); err != nil {
			return errors.Join(err, os.RemoveAll(temp))
		}
	}
	if err := errors.Join(os.Chmod(temp, 0o755), os.Rename(temp, dir)); err != nil {
		return errors.Join(err, os.RemoveAll(temp))
	}
	return nil
}

// rootCAs is the file of those whom this host trusts, or empty: registries are asked from inside, where there is none.
func rootCAs() string {
	for _, path := range []string{
		"/etc/ssl/certs/ca-certificates.crt", // Debian, Arch
		"/etc/pki/tls/certs/ca-bundle.crt",   // Fedora
		"/etc/ssl/ca-bundle.pem",             // SUSE
		"/etc/ssl/cert.pem",                  // Alpine
	} {
		if _, err := os.Stat(path); err == nil {
			return path
		}
	}
	return ""
}

// dockerPrograms lists what there is of the docker command and its plugins, and adds it to sum: by size and time, for reading
// 150 MB would make every start of the server wait.
func (l *Launcher) dockerPrograms(sum io.Writer) ([]string, error) {
	var found []string
	if l.DockerDir == "" {
		return nil, nil
	}
	for _, path := range DockerPrograms(l.DockerDir) {
		name := filepath.Base(path)
		info, err := os.Stat(path)
		if errors.Is(err, fs.ErrNotExist) {
			l.Log.Warn("sessions have no "+name+": build it with make build", "looked_for", path)
			continue
		}
		if err != nil {
			return nil, err
		}
		fmt.Fprintf(sum, "%s %d %d\n", name, info.Size(), info.ModTime().UnixNano())
		found = append(found, path)
	}
	return found, nil
}

// DockerPrograms are the paths of the docker command and its plugins in dir, whether they are there or not.
func DockerPrograms(dir string) []string {
	var paths []string
	for _, p := range boot.DockerPrograms() {
		if path := filepath.Join(dir, p.Name); !slices.Contains(paths, path) {
			paths = append(paths, path)
		}
	}
	return paths
}

func (l *Launcher) programsDir() string { return filepath.Join(l.DataDir, "programs") }

// sweepPrograms removes directories of earlier versions that no sandbox has mounted any more.
func (l *Launcher) sweepPrograms() error {
	used := []string{l.programs}
	ids, err := l.remnants()
	if err != nil {
		return err
	}
	for _, id := range ids {
		if st, err := l.readState(id); err == nil {
			used = append(used, st.Programs)
		}
	}
	dirs, err := entries(l.programsDir())
	for _, d := range dirs {
		if !slices.Contains(used, d) {
			err = errors.Join(err, os.RemoveAll(filepath.Join(l.programsDir(), d)))
		}
	}
	return err
}

func hashFile(w io.Writer, path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = io.Copy(w, f)
	return err
}

// linkFile makes to the same file as from, which costs neither time nor disk nor page cache, or a copy where they are on
// different file systems. A link shares the fate of what it links to: good enough for programs that only the visitor runs.
func linkFile(from, to string) error {
	source, err := filepath.EvalSymlinks(from) // a link to a symbolic link would point nowhere in the sandbox
	if err != nil {
		return err
	}
	if os.Link(source, to) == nil {
		return nil
	}
	return copyFile(source, to)
}

func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o755)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Chmod(0o755), out.Close())
}
