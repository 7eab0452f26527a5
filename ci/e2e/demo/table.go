package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/wpbake/wpbake/ci/e2e"
)

// seen names the releases that answered, by how often each did.
func (d *demo) seen(t e2e.Tally) string {
	digests := slices.SortedFunc(maps.Keys(t.Releases), func(a, b string) int {
		return t.Releases[b] - t.Releases[a]
	})
	parts := make([]string, len(digests))
	for i, digest := range digests {
		name := d.names[digest]
		if name == "" {
			name = digest
		}
		parts[i] = fmt.Sprintf("%s %d×", name, t.Releases[digest])
	}
	return strings.Join(parts, ", ")
}

// table closes the story: what each step cost and what clients noticed.
func (d *demo) table(w io.Writer) {
	if len(d.rows) == 0 {
		return
	}
	fmt.Fprintln(w)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "step\tseconds\trequests\tfailed\tlost sessions\t release seen by clients")
	for _, r := range d.rows {
		fmt.Fprintf(t, "%-20s\t%.1f\t%d\t%d\t%d\t %s\n", r.name, r.seconds, r.tally.Requests, r.tally.Failed, r.tally.Lost, r.seen)
	}
	t.Flush()
}
