// Package execstream runs a program in a sandbox with its input, output and exit status streamed: both ends of the
// websocket protocol berth.exec.v1, which ARCHITECTURE.md describes, and the plain POST that collects everything.
//
// Handler serves both over a Start that the engine gives; Dial and Conn.Run are the client.
package execstream
