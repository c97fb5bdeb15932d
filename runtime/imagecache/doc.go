// Package imagecache is the host's shared cache of container images: every layer is fetched once, unpacked once, and then
// only read, by all sandboxes at the same time.
//
//	DIR/                  0700, so that no local user reaches the setuid files of a layer
//	DIR/lock              flock(2): held for moments, by whoever changes what is below
//	DIR/index.json        names → images → layers; replaced as a whole, so that readers need no lock
//	DIR/layers/HEX/       the tree of one layer, by the digest of its uncompressed tar (its diff-id), with natural
//	                      owners (0…65535), whiteouts as overlay has them (char 0:0, user.overlay.opaque)
//	DIR/blobs/HEX         manifests and configs, by their digests
//	DIR/leases/ID         symbolic link to the image id that the sandbox ID has mounted
//	DIR/staging/N/        what one writer is making; its own lock says that the writer lives
//	DIR/catalogue/        what sandboxes may know of all this: package catalogue
//	DIR/trash/            what is being deleted
//
// A writer works in its staging directory, for as long as it takes, and holds the lock only to move finished things into
// place. A writer that was killed leaves its staging directory without a holder of its lock; the next writer removes
// it. A layer counts only when the index has it, which is written after the layer has reached the disk.
//
// Mount an image with its LayerDirs as lower directories (the last one first) relative to LayersDir and the option
// userxattr, after Use, and call Release when it is unmounted: only layers that no image and no lease holds are
// removed. Images with many layers exceed the 4 KiB of mount(2)'s options: use fsconfig's lowerdir+ (kernel 6.8), or
// change directory to LayersDir and keep names relative.
package imagecache
