// Package image keeps the images of one sandbox, and the writable layers of its containers, on the session's disk. The
// stores are containerd's, used as libraries: blobs by their digests, names, snapshots on overlay, and the collection of
// what nothing refers to.
//
// A layer that the host's shared cache has is neither downloaded nor copied: in its place stands an empty snapshot whose
// directory is a symbolic link to the cache's. The cache's catalogue also answers for the names that it holds, so that
// images which the host has are there without a registry.
//
// An image is known by the digest of its config, as `docker images -q` shows it. In the metadata there is one record for
// the image itself, which keeps its manifest, and through that config, layers and snapshots; and one for each name.
//
// Nothing here outlives the sandbox's first process, so the databases are not synchronised with the disk: SIGKILL of a
// program leaves what it wrote with the kernel.
package image
