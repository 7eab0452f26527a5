// Package artifact turns a tree into one verifiable file and back.
//
// It knows trees, versions, digests, manifests, the format of artifacts
// (FORMAT.md) and the Store they rest in. [Build] makes an artifact of a tree,
// [Publish] puts it into a store, [Find] and [Versions] look, [Fetch] unpacks
// it, [Verify] and [Check] compare.
//
// It refuses to know what kind of store it talks to, AWS, OCI, WordPress's own
// rules and what releasing means. It runs nothing and trusts nothing: every
// byte that comes from a store is compared with a digest before anything reads
// meaning into it, and a tree is refused before it is read when a node could
// not hold the same one.
package artifact
