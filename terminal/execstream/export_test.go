package execstream

// For tests.
var (
	DecodeControl = decodeControl
	Result        = result
)
