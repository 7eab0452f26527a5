// Package node is what an instance does at boot: it finds out who it is,
// brings the one release its user data pins onto its disk, verifies it, points
// the docroot at it, prepares the environment, starts services, asks its own
// web server for that release, and reports. Only then does it tell the
// launch hook CONTINUE; after any failure, a panic or a timeout among them, it
// tells ABANDON, and the instance never serves.
//
// A boot is a line of stages (boot.go), each a small type that owns what it
// needs; what they say goes through one journal. How releases lie below
// Config.Root is node/disk; what may come late is waited for with node/wait.
//
// The package knows the store, the instance and its services' command lines,
// all of them given to it. It refuses to know what a group or a rollout
// decides, which web server or init system there is, and AWS's API: adapters
// for Metadata, Lifecycle and Parameters live elsewhere. It never looks for a
// newer release: nothing here points to "latest".
package node
