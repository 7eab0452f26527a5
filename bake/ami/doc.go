// Package ami makes AMIs that hold a release, and finds those that are there.
//
// It knows when an image can be used again, whom to wait for, where copies go,
// and what is written down of an image. It refuses to know AWS's SDK (package
// internal/aws has the adapter), Packer (whoever calls brings a way to build),
// groups and rollouts.
package ami
