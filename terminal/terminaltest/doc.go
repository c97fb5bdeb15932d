// Package terminaltest runs real programs of this machine where a sandbox's would run, for tests of what is on top of
// terminals and exec streams.
package terminaltest
