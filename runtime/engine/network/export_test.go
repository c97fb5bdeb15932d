package network

// ParseSocket is for tests.
var ParseSocket = parseSocket

// Whole is for tests.
func Whole[T any](list func() ([]T, error)) ([]T, error) { return whole(list) }
