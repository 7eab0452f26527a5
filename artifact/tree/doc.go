// Package tree looks at a tree on disk: what it holds, whether every node could
// hold the same, and whether it still is what a look at it found.
//
// [Scan] lists a tree without opening a file, a [Reader] opens the files that
// were listed and notices what changed since, [NewView] shows a listing as a
// file system. The package refuses to know what becomes of a tree: it reads no
// artifact and no store, and nothing of WordPress.
package tree
