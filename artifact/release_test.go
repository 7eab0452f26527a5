package artifact_test

import (
	"context"
	"testing"

	"github.com/wpbake/wpbake/artifact"
	"github.com/wpbake/wpbake/artifact/dirstore"
)

func build(tb testing.TB, o artifact.BuildOptions) artifact.Built {
	tb.Helper()
	if o.Version == "" {
		o.Version = "v1"
	}
	if o.Out == "" {
		o.Out = tb.TempDir()
	}
	b, err := artifact.Build(tb.Context(), o)
	check(tb, err)
	return b
}

func store(tb testing.TB, dir string) *dirstore.Store {
	tb.Helper()
	s, err := dirstore.New(dir)
	check(tb, err)
	tb.Cleanup(func() { s.Close() })
	return s
}

// published builds a tree and publishes it as v1.
func published(tb testing.TB, t tree) (artifact.Store, artifact.Built) {
	tb.Helper()
	return publishedAs(tb, artifact.BuildOptions{Tree: t.write(tb, tb.TempDir())})
}

func publishedAs(tb testing.TB, o artifact.BuildOptions) (artifact.Store, artifact.Built) {
	tb.Helper()
	b := build(tb, o)
	s := store(tb, tb.TempDir())
	_, err := artifact.Publish(context.Background(), s, b.Dir, nil)
	check(tb, err)
	return s, b
}
