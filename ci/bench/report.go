package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"text/tabwriter"
)

// report is all that a run found.
type report struct {
	Machine machine  `json:"machine"`
	Rounds  int      `json:"rounds"`
	Results []result `json:"results"`
}

func (r report) write(name string) error {
	b, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(name, append(b, '\n'), 0o644)
}

func (r report) print(w io.Writer) {
	m := r.Machine
	fmt.Fprintf(w, "\n%s, %d processors, %d MiB; Linux %s; %s\n%s; load %s before, %s after; %d rounds\n\n",
		m.CPU, m.Processors, m.Memory>>20, m.Kernel, m.FileSystem, m.Tools, m.LoadBefore, m.LoadAfter, r.Rounds)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "corpus\twork\tours\tpeer\tratio\tgoal\tsize\tmemory\t")
	for _, x := range r.Results {
		fmt.Fprintf(t, "%s\t%s\t%.2f s\t%.2f s\t%.2f\t%s\t%s\t%s\t\n", x.Corpus, x.Work, median(x.Ours), median(x.Peers),
			x.Ratio, x.verdict(), orDash(x.Size, "%.3f"), x.memory())
	}
	t.Flush()
}

// verdict names the goal and whether it was missed.
func (x result) verdict() string {
	s := orDash(x.Goal, "≤ %.2f")
	if x.Goal > 0 && x.Ratio > x.Goal {
		s += " missed"
	}
	return s
}

// memoryGoal is what no build may take, however large the tree is.
const memoryGoal = 256 << 20

func (x result) memory() string {
	s := fmt.Sprintf("%d MiB", x.Memory>>20)
	if x.Memory > memoryGoal {
		s += " missed"
	}
	return s
}

func orDash(v float64, format string) string {
	if v == 0 {
		return "-"
	}
	return fmt.Sprintf(format, v)
}
