package e2e

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// seen names the releases that answered, by how often each did.
func (d *Demo) seen(t Tally) string {
	digests := slices.SortedFunc(maps.Keys(t.Releases), func(a, b string) int {
		return t.Releases[b] - t.Releases[a]
	})
	parts := make([]string, len(digests))
	for i, digest := range digests {
		parts[i] = fmt.Sprintf("%s %d×", d.name(digest), t.Releases[digest])
	}
	return strings.Join(parts, ", ")
}

// Table closes the story: what each step cost and what clients noticed.
func (d *Demo) Table() {
	if len(d.rows) == 0 {
		return
	}
	const line = "%-20s  %7s  %8s  %6s  %13s  %s\n"
	fmt.Fprintf(d.out, "\n"+line, "step", "seconds", "requests", "failed", "lost sessions", "release seen by clients")
	for _, r := range d.rows {
		fmt.Fprintf(d.out, line, r.name, fmt.Sprintf("%.1f", r.seconds), fmt.Sprint(r.tally.Requests),
			fmt.Sprint(r.tally.Failed), fmt.Sprint(r.tally.Lost), r.seen)
	}
}
