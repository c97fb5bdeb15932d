// Package unpack turns one layer of an image, a tar stream that may be compressed and must be expected to be hostile,
// into a directory tree fit to be a lower directory of an overlay mount with the option userxattr.
//
// The caller never parses the stream: it only moves, counts and hashes bytes. Two children do the rest, each a re-exec
// of this program in user, mount, pid, network, ipc and uts namespaces of its own, whose user ids are a high unused range
// of the host's. One decompresses: it holds no file system at all. Its output goes back through the caller, who computes
// the diff-id from it, and on to the other, which parses the tar: its root directory is the layer's directory, given
// to it as a detached idmapped mount (kernel 5.12), so that files have their natural owners on disk while the child has
// no rights over anything else on the host.
//
// What that is worth if a child is taken over by the data it parses: the decompressor can only choose the bytes whose
// digest the caller computes, and bytes that do not have the digest that the image's config promises are thrown away.
// The unpacker can write whatever it likes into that one directory; but the bytes that took it over had the layer's
// digest, so it can only spoil the very layer that was hostile already, never pass one off as another. Both can use
// processor time and disk until the caller's budgets stop them, and neither can outlive its stream.
package unpack
