package oci

// For tests.
var (
	LastError     = lastError
	MaxMessage    = maxMessage
	CompileFilter = compileFilter
	SetSeccomp    = setSeccomp
)
