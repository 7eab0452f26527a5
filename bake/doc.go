// Package bake turns a WordPress tree into what nodes boot, as far as the
// published artifact: open, scan, check, overlay, build, publish, one after the
// other (see line.once). Packages below it go on from there: volume and ami make
// disks, inventory finds what is not needed any more.
//
// It knows what a person may name as a tree, what a check demands and repairs,
// and which assets of the release before stay. It refuses to know AWS, which
// store an artifact goes to, groups and rollouts, and how people are told: an
// [Observer] hears of what is found and decides nothing.
package bake
