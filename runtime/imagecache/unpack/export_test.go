package unpack

import "io"

// UnpackTar writes an archive below root as the child does, without its walls, so that a fuzzer sees the code's coverage
// and the names alone must hold.
func UnpackTar(root string, stream io.Reader, b Budgets) error {
	_, err := unpackTar(root, stream, b.withDefaults())
	return err
}
