package oci

// For tests.
var (
	LastError     = lastError
	MaxMessage    = maxMessage
	CompileFilter = compileFilter
	SetSeccomp    = setSeccomp
)

// Hold is what Start does before it runs runc.
func (c *Cgroups) Hold(group string) { c.hold(group) }
