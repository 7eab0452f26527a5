// Package imagefs lays an artifact's members out as a file system image: which
// bytes stand where, the digest that follows from them, and whether a disk holds
// them.
//
// It refuses to know how the image's bytes come to be on a disk; package fetch
// writes them. How the file system itself is written is package erofs's.
package imagefs

import (
	"github.com/wpbake/wpbake/artifact"
	"github.com/wpbake/wpbake/artifact/erofs"
)

// A manifest counts an image in blocks of the file system.
var _ = [1]struct{}{}[artifact.ImageBlock-erofs.BlockSize]
