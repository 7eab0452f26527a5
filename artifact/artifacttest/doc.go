// Package artifacttest has what tests of artifacts share: trees to build, sites
// that change, releases by hostile signers, and directories that must not be
// touched. It knows the format alone, so that tests of any package above it can
// use it, and it asserts nothing that production code decides.
package artifacttest
