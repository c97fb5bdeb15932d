package container

import (
	"errors"
	"slices"
	"strings"

	"berth/runtime/engine/oci"
)

// runcSays is how Docker's error begins where runc has failed.
const runcSays = "failed to create task for container: failed to create shim task: OCI runtime create failed: runc create failed: "

// startError is the error as Docker's clients know it: they take exit codes from its words.
func (c *Container) startError(err error) error {
	var failed *oci.Error
	if !errors.As(err, &failed) {
		return err
	}
	m := runcSays + strings.TrimPrefix(failed.Message, "runc run failed: ") + ": unknown"
	low := strings.ToLower(failed.Message)
	switch {
	case strings.Contains(low, "is a directory"): // clients look for these words: moby/moby#46212
		m += ": permission denied"
	case strings.Contains(low, "not a directory"):
		m += ": Are you trying to mount a directory onto a file (or vice-versa)? Check if the specified host path exists and is the expected type"
	}
	if codeOf(err) == codeUnknown {
		return errors.New(m)
	}
	return invalid("%s", m)
}

// codeOf is the exit code that Docker gives to a container which did not start.
func codeOf(err error) int {
	m := strings.ToLower(err.Error())
	has := func(words ...string) bool {
		return slices.ContainsFunc(words, func(w string) bool { return strings.Contains(m, w) })
	}
	switch {
	case has("permission denied", "is a directory"):
		return codeCannotRun
	case has("not a directory", "executable file not found", "no such file or directory"):
		return codeNotFound
	}
	return codeUnknown
}
