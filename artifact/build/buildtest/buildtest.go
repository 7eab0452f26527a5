// Package buildtest builds and publishes trees for tests of what reads
// artifacts. It knows the builder and the store on disk, and asserts nothing of
// its own.
package buildtest

import (
	"context"
	"testing"

	"github.com/wpbake/wpbake/artifact"
	"github.com/wpbake/wpbake/artifact/artifacttest"
	"github.com/wpbake/wpbake/artifact/build"
	"github.com/wpbake/wpbake/artifact/dirstore"
	"github.com/wpbake/wpbake/artifact/fetch"
)

// Build builds a tree: v1, into a directory of its own unless o says otherwise.
func Build(tb testing.TB, o build.Options) build.Built {
	tb.Helper()
	if o.Version == "" {
		o.Version = "v1"
	}
	if o.Out == "" {
		o.Out = tb.TempDir()
	}
	b, err := build.Build(tb.Context(), o)
	artifacttest.Must(tb, err)
	return b
}

// Store opens a store in a directory for as long as the test runs.
func Store(tb testing.TB, dir string) *dirstore.Store {
	tb.Helper()
	s, err := dirstore.New(dir)
	artifacttest.Must(tb, err)
	tb.Cleanup(func() { s.Close() })
	return s
}

// Published builds a tree and publishes it as v1.
func Published(tb testing.TB, t artifacttest.Tree) (artifact.Store, build.Built) {
	tb.Helper()
	return PublishedAs(tb, build.Options{Tree: t.Write(tb, tb.TempDir())})
}

// PublishedAs builds as o says and publishes the result in a store of its own.
func PublishedAs(tb testing.TB, o build.Options) (artifact.Store, build.Built) {
	tb.Helper()
	b := Build(tb, o)
	s := Store(tb, tb.TempDir())
	_, err := build.Publish(context.Background(), s, b.Dir, nil)
	artifacttest.Must(tb, err)
	return s, b
}

// Fetch fetches v1 as a directory.
func Fetch(ctx context.Context, s artifact.ReleaseStore, dest string) error {
	_, err := fetch.Release(ctx, s, fetch.Options{Version: "v1", Dest: dest})
	return err
}
