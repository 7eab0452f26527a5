package build_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/wpbake/wpbake/artifact/artifacttest"
	"github.com/wpbake/wpbake/artifact/build"
	"github.com/wpbake/wpbake/artifact/build/buildtest"
	"github.com/wpbake/wpbake/artifact/fetch"
	"pgregory.net/rapid"
)

// TestAnyTree builds and fetches trees of all shapes: what comes out is what
// went in.
func TestAnyTree(t *testing.T) {
	t.Parallel()
	name := rapid.StringMatching(`[a-z]{1,3}( [a-z])?|[-_.~äß漢][a-z0-9]{1,2}|x{95}`)
	size := rapid.OneOf(rapid.IntRange(0, 3), rapid.SampledFrom([]int{
		511, 512, 513, 1 << 18, 1<<20 - 512, 1 << 20, 2<<20 - 1024, 2<<20 - 512, 2<<20 - 511, 2 << 20, 3<<20 - 512, 3 << 20, 4<<20 - 1024, 4<<20 - 512, 4<<20 - 511, 4 << 20,
	}))
	rapid.Check(t, func(rt *rapid.T) {
		want := artifacttest.Tree{}
		for range rapid.IntRange(0, 10).Draw(rt, "entries") {
			parts := rapid.SliceOfN(name, 1, 4).Draw(rt, "path")
			if !room(want, strings.Join(parts, "/")) {
				continue
			}
			want[strings.Join(parts, "/")] = strings.Repeat(string(rune('a'+len(want))), size.Draw(rt, "size"))
		}
		dir, err := os.MkdirTemp("", "wpbake-test-")
		if err != nil {
			rt.Fatal(err)
		}
		defer os.RemoveAll(dir)
		if err := os.Mkdir(dir+"/tree", 0o755); err != nil {
			rt.Fatal(err)
		}
		b := buildtest.Build(t, build.Options{Tree: want.Write(t, dir+"/tree"), Out: dir + "/store", Exclude: []string{}})
		s := buildtest.Store(t, dir+"/store")
		if err := buildtest.Fetch(t.Context(), s, dir+"/dest"); err != nil {
			rt.Fatal(err)
		}
		artifacttest.Diff(t, artifacttest.Read(t, filepath.Join(dir, "dest", "wordpress")), want)
		if err := fetch.Check(dir+"/dest", b.Manifest); err != nil {
			rt.Fatal(err)
		}
		if _, err := fetch.Verify(t.Context(), s, "v1", b.Digest); err != nil {
			rt.Fatal(err)
		}
		if t.Failed() {
			rt.FailNow()
		}
	})
}

// room tells whether a file can stand at p: no name is a file and a directory.
func room(t artifacttest.Tree, p string) bool {
	for other := range t {
		if strings.HasPrefix(other+"/", p+"/") || strings.HasPrefix(p+"/", other+"/") {
			return false
		}
	}
	return true
}
