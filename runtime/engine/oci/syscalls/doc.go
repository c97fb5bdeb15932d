// Package syscalls knows the numbers of system calls by their names, as profiles of seccomp have them.
package syscalls

//go:generate go run generate.go
