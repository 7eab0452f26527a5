package rules_test

import (
	"cmp"
	"crypto/sha256"
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/wpbake/wpbake/wordpress/rules"
)

var update = flag.Bool("update", false, "rewrite golden files and docs/checks.md")

// What is said of every tree of the tests, word for word: findings, repairs,
// and the notes for the next check. -update rewrites it, to be read as a diff.
func TestFindingsGolden(t *testing.T) {
	const golden = "testdata/findings.golden"
	var b strings.Builder
	for _, tt := range checkCases() {
		if tt.disk != "" { // its paths are of this run
			continue
		}
		tree, o := tt.set(t)
		describe(&b, tt.id+" "+tt.name, check(t, tree, o))
	}
	for _, x := range []struct {
		name string
		tree fstest.MapFS
	}{{"bedrock", bedrock()}, {"own directory", ownDirectory()}, {"multisite", multisite()}, {"docker", docker()}} {
		o := options(t, nil)
		o.Strict = x.name == "bedrock"
		describe(&b, x.name, check(t, x.tree, o))
	}
	if *update {
		if err := os.WriteFile(golden, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if got := b.String(); got != string(want) {
		t.Errorf("findings differ from %s; the first line that does:\n%s", golden, firstDifference(got, string(want)))
	}
}

// describe writes what a report says.
func describe(b *strings.Builder, name string, r rules.Report) {
	fmt.Fprintf(b, "== %s: %d files, %d bytes, %d parsed\n", name, r.Files, r.Bytes, r.Parsed.Files)
	for _, list := range [][]rules.Finding{r.Findings, r.Waived} {
		for _, f := range list {
			fmt.Fprintf(b, "%s %s %s:%d %q", f.Severity, f.ID, f.Path, f.Line, f.Message)
			if f.Waived != "" {
				fmt.Fprintf(b, " waived %q", f.Waived)
			}
			b.WriteByte('\n')
		}
	}
	for _, w := range r.Unused {
		fmt.Fprintf(b, "unused %s %s\n", w.ID, w.Path)
	}
	for _, p := range slices.Sorted(maps.Keys(r.Repairs.Replace)) {
		fmt.Fprintf(b, "replace %s %q\n", p, r.Repairs.Replace[p])
	}
	fmt.Fprintf(b, "notes %s\n", r.Notes[min(sha256.Size, len(r.Notes)):])
}

func firstDifference(got, want string) string {
	g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range max(len(g), len(w)) {
		line := func(l []string) string {
			if i < len(l) {
				return l[i]
			}
			return ""
		}
		if c := cmp.Compare(line(g), line(w)); c != 0 {
			return fmt.Sprintf("%d\n got %s\nwant %s", i+1, line(g), line(w))
		}
	}
	return ""
}
