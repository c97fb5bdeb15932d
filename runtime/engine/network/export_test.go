package network

// ParseSocket is for tests.
var ParseSocket = parseSocket
