// Package fetch turns a published artifact into a tree again, whole or in part.
//
// [Release] unpacks a version into a directory or an image, [Verify] reads it
// whole and keeps nothing, [Files], [Extract] and [Diff] read parts of it, [Check]
// and [CheckImage] compare what was unpacked. Every byte is compared with a
// digest before anything reads meaning into it, and nothing appears under its
// name before it is whole.
//
// The package refuses to know how artifacts are made, where a store is, and what
// a release is for. It runs nothing.
package fetch
