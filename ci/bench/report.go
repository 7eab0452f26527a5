package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"text/tabwriter"
)

// report is all that a run found.
type report struct {
	Machine machine  `json:"machine"`
	Rounds  int      `json:"rounds"`
	Corpora []corpus `json:"corpora"`
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
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "corpus\twork\tours\tfastest peer\t\tratio\tgoal\tsize\tmemory\t")
	for _, x := range r.Results {
		fmt.Fprintf(t, "%s\t%s\t%.2f s\t%s\t%s\t%s\t%s\t%s\t%s\t\n", x.Corpus, x.Work, median(x.Ours),
			x.peerTime(), x.Peer, orDash(x.Ratio, "%.3f"), x.verdict(), orDash(x.Size, "%.3f"), x.memory())
	}
	t.Flush()
	r.printCalls(w)
	r.printGrowth(w)
}

// printCalls tells how many calls to the cloud each program made in a round.
func (r report) printCalls(w io.Writer) {
	for _, x := range r.Results {
		for _, program := range slices.Sorted(maps.Keys(x.Calls)) {
			fmt.Fprintf(w, "%s: %s: %s made %d calls to the cloud\n", x.Corpus, x.Work, program, x.Calls[program][len(x.Calls[program])/2])
		}
	}
}

// printGrowth compares the large corpus with the medium one.
func (r report) printGrowth(w io.Writer) {
	small, large := r.corpus("medium"), r.corpus("large")
	if small.Files == 0 || large.Files == 0 {
		return
	}
	fmt.Fprintf(w, "\nlarge is medium times %.2f in files, %.2f in bytes; times of:\n",
		float64(large.Files)/float64(small.Files), float64(large.Bytes)/float64(small.Bytes))
	for _, x := range r.Results {
		for _, y := range r.Results {
			if x.Corpus == "medium" && y.Corpus == "large" && x.Work == y.Work {
				fmt.Fprintf(w, "  %s: times %.2f\n", x.Work, median(y.Ours)/median(x.Ours))
			}
		}
	}
}

func (r report) corpus(name string) corpus {
	for _, c := range r.Corpora {
		if c.Name == name {
			return c
		}
	}
	return corpus{}
}

func (x result) peerTime() string {
	if x.Peer == "" {
		return "-"
	}
	return fmt.Sprintf("%.2f s", median(x.Peers[x.Peer]))
}

// verdict names the goal and whether it was missed.
func (x result) verdict() string {
	s := orDash(x.Goal, "≤ %.2f")
	if x.Goal > 0 && x.Ratio > x.Goal {
		s += " missed"
	}
	return s
}

func (x result) memory() string {
	s := fmt.Sprintf("%d MiB", x.Memory>>20)
	if x.MemoryGoal > 0 && x.Memory > x.MemoryGoal {
		s += fmt.Sprintf(" of %d, missed", x.MemoryGoal>>20)
	}
	return s
}

func orDash(v float64, format string) string {
	if v == 0 {
		return "-"
	}
	return fmt.Sprintf(format, v)
}
