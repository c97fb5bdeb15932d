// Package record remembers what builds looked like: their steps, logs, warnings and outcome. It is fed with BuildKit's own
// status messages, by whoever solves, and keeps one append-only file of numbered events a build on the session's disk, so
// that whoever looks later sees all of it, in order.
//
// A story. A build begins: Begin makes its record. Its plan says which steps there will be and which lines of the Dockerfile
// they come from; status messages say what they do. Every change is an event with the next number. A page follows the
// events from the first; it loses its connection, comes back with the last number it has, and goes on from there. The
// build ends: End says how, and the last event is `end`.
//
// Followers read the file, so a slow one holds nobody. A full disk does not end a record: what cannot be written is kept in
// memory, within bounds, until it can.
package record
