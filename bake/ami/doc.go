// Package ami makes AMIs that hold a release, and finds those that are there.
//
// It knows when an image can be used again, whom to wait for, where copies go,
// what is written down of an image, and how Packer is told to build one. It
// refuses to know AWS's SDK (package internal/aws has the adapter), groups and
// rollouts.
package ami
