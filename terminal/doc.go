// Package terminal holds PTYs and lets many viewers share them. One goroutine reads a PTY into a ring of bytes with
// sequence numbers; every viewer follows the ring at its own place over the websocket protocol berth.terminal.v1, of
// which both ends are here: Set serves it, Client speaks it. The protocol is in ARCHITECTURE.md.
//
// A story. The engine makes a Set with a Start that runs a shell. A viewer connects to terminal "1": the Set starts the
// shell at the viewer's size, sends hello and then output as it comes. The viewer acknowledges what it has drawn; when
// everybody is too far behind, the PTY is not read and the program blocks. The link breaks; the viewer comes back,
// names the next byte it wants, is told how much of its typing arrived, and sends the rest. The shell ends: its last
// bytes are delivered, then its exit status; a restart puts a new shell in the same terminal and the numbers go on.
//
// The package imports nothing of ours.
package terminal
