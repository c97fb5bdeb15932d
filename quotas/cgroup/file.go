package cgroup

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// write sets a control file. The kernel takes one value per write(2), so nothing may be buffered or split.
func write(dir, file, value string) error {
	f, err := os.OpenFile(filepath.Join(dir, file), os.O_WRONLY, 0)
	if err != nil {
		return fmt.Errorf("control group: %w", err)
	}
	_, err = f.WriteString(value)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return fmt.Errorf("control group: write %q: %w", value, err)
	}
	return nil
}

// writeIfPresent is write for a file that not every kernel has.
func writeIfPresent(dir, file, value string) error {
	if err := write(dir, file, value); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

func readString(dir, file string) (string, error) {
	b, err := os.ReadFile(filepath.Join(dir, file))
	if err != nil {
		return "", fmt.Errorf("control group: %w", err)
	}
	return strings.TrimSpace(string(b)), nil
}

func readInt(dir, file string) (int64, error) {
	s, err := readString(dir, file)
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("control group: %s: %w", filepath.Join(dir, file), err)
	}
	return n, nil
}

// readKey returns the number behind key in a file of "key value" lines; 0 where the key is missing.
func readKey(dir, file, key string) (int64, error) {
	s, err := readString(dir, file)
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(s) {
		k, v, ok := strings.Cut(strings.TrimSpace(line), " ")
		if ok && k == key {
			return strconv.ParseInt(v, 10, 64)
		}
	}
	return 0, nil
}

func readFields(path string) []string {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil
	}
	return strings.Fields(string(b))
}

// tree lists dir and every cgroup below it, parents first. Groups that vanish meanwhile are left out.
func tree(dir string) []string {
	if !exists(dir) {
		return nil
	}
	all := []string{dir}
	for i := 0; i < len(all); i++ {
		entries, err := os.ReadDir(all[i])
		if err != nil {
			continue
		}
		for _, e := range entries {
			if e.IsDir() {
				all = append(all, filepath.Join(all[i], e.Name()))
			}
		}
	}
	return all
}
