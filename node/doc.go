// Package node is what an instance does at boot: it finds out who it is,
// brings the one release its user data pins onto its disk, verifies it, points
// the docroot at it, prepares the environment, starts services, asks its own
// web server for that release, and reports. Only then does it tell the
// launch hook CONTINUE; after any failure, a panic or a timeout among them, it
// tells ABANDON, and the instance never serves.
//
// On disk, below Config.Root:
//
//	releases/<digest12>/wordpress   a verified tree; read-only by agreement, or by the kernel where
//	                                an image is mounted
//	images/<digest12>.erofs, .json  the image and its manifest
//	artifacts/<digest12>.tar.zst    what the next release is fetched with the help of; never trusted
//	current -> releases/<digest12>  the docroot's parent, replaced by rename
//	boots.json                      which releases booted here, newest first
//	boot.lock                       held (flock) while a boot runs
//
// A directory in releases is complete, an empty place for a mount, or not
// there; images and directories are made under another name and renamed. An
// image is verified each time before it is mounted. So a crash at any moment
// leaves current at the old tree, at the new tree, or absent.
//
// The package knows the store, the instance and its services' command lines,
// all of them given to it. It refuses to know what a group or a rollout
// decides, which web server or init system there is, and AWS's API: adapters
// for Metadata, Lifecycle and Parameters live elsewhere. It never looks for a
// newer release: nothing here points to "latest".
package node
