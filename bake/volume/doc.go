// Package volume makes release volumes: EBS snapshots that hold a release's
// file system, written block by block without a volume and without an
// instance. A launch template gives them to nodes as a disk.
//
// It knows blocks, what may be skipped, what is tried again and for how long,
// and that nothing unfinished stays. It refuses to know AWS's SDK (package
// internal/aws has the adapter), groups and rollouts.
package volume
