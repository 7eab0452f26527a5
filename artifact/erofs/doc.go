// Package erofs writes uncompressed EROFS images: read-only file systems that
// Linux mounts. Paths and sizes alone decide where everything stands, so that
// many writers may put contents in place before the first of them is known;
// superblock, inodes and directories come last, when the times are known too.
//
// It knows the format and a list of paths. It refuses to know where those come
// from, and what of EROFS a plain image needs not: compression, inline data,
// extended attributes, owners other than root, anything that a kernel older
// than 5.4 would not read.
//
// The format is described at https://erofs.docs.kernel.org/en/latest/ondisk/.
package erofs
