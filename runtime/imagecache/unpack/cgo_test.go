//go:build cgo

package unpack_test

const cgo = true
