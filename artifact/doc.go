// Package artifact is the format of artifacts (FORMAT.md): versions, digests,
// the manifest, the index with its frames and members, the names that a tree and
// its links may have, and the [Store] that releases rest in.
//
// It refuses to know how a tree is read (package tree), how an artifact is made
// (package build) and unpacked (package fetch), what kind of store it talks to,
// AWS, WordPress's own rules and what releasing means. It imports nothing of this
// module and trusts nothing: every byte that comes from a store is compared with
// a digest before anything reads meaning into it.
package artifact
