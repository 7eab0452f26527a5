// Package build makes an artifact of a tree, the same bytes on every machine.
//
// [Build] writes one to a folder, [PublishTree] sends one to a store while it is
// made, [Publish] sends one that was made before. What an earlier build of the
// same tree read and compressed is taken from a cache when it is known to be
// the same.
//
// The package refuses to know where trees come from, what they are as WordPress
// and what releasing means: it is handed a description and puts it beside the
// artifact.
package build
