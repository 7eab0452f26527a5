package doctest

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "rewrite what is generated")

const (
	root      = "../.."
	decisions = root + "/docs/decisions"
)

// decision is one file of docs/decisions.
type decision struct {
	file         string
	number       int
	title, date  string
	status       string
	supersedes   []string // files
	supersededBy string   // file
}

var (
	decisionName   = regexp.MustCompile(`^(\d{4})-[a-z0-9]+(-[a-z0-9]+)*\.md$`)
	decisionHead   = regexp.MustCompile(`^# (\d{4})\. (\S.*)\n\n- Date: (.*)\n- Status: (.*)\n((?:- Supersedes: .*\n)*)\n`)
	decisionLink   = regexp.MustCompile(`\[(\d{4})\]\(([^)]*)\)`)
	withdrawn      = regexp.MustCompile(`^withdrawn on \d{4}-\d\d-\d\d: \S`)
	decisionFields = []string{"Choice", "Reason", "Price"}
)

// parseDecision reads a file and says what it lacks.
func parseDecision(file, text string) (d decision, faults []string) {
	fault := func(format string, a ...any) { faults = append(faults, file+": "+fmt.Sprintf(format, a...)) }
	d.file = file
	name, head := decisionName.FindStringSubmatch(file), decisionHead.FindStringSubmatch(text)
	if name == nil || head == nil {
		fault("want NNNN-title.md that begins with \"# NNNN. Title\", its date and its status")
		return d, faults
	}
	if name[1] != head[1] {
		fault("the heading has number %s", head[1])
	}
	fmt.Sscanf(name[1], "%d", &d.number)
	d.title, d.date, d.status = head[2], head[3], head[4]
	if _, err := time.Parse(time.DateOnly, d.date); err != nil {
		fault("date %q is none", d.date)
	}
	for _, link := range decisionLink.FindAllStringSubmatch(head[5], -1) {
		d.supersedes = append(d.supersedes, link[2])
	}
	by, isSuperseded := strings.CutPrefix(d.status, "superseded by ")
	switch link := decisionLink.FindStringSubmatch(by); {
	case isSuperseded && link != nil && link[0] == by:
		d.supersededBy = link[2]
	case d.status != "accepted" && !withdrawn.MatchString(d.status):
		fault("status %q: want accepted, superseded by [NNNN](FILE), or withdrawn on DATE: why", d.status)
	}
	rest := text[len(head[0]):]
	for _, field := range decisionFields {
		body, ok := strings.CutPrefix(rest, "## "+field+"\n\n")
		if !ok {
			fault("want ## %s next, have %.30q", field, rest)
			return d, faults
		}
		body, after, more := strings.Cut(body, "\n## ")
		if strings.TrimSpace(body) == "" {
			fault("%s is empty", field)
		}
		if rest = ""; more {
			rest = "## " + after
		}
	}
	if rest != "" {
		fault("more follows after the price: %.30q", rest)
	}
	return d, faults
}

// faultsAmong are those that no file shows alone.
func faultsAmong(all []decision) (faults []string) {
	byFile := map[string]decision{}
	last := ""
	for i, d := range all {
		byFile[d.file] = d
		if d.number != i+1 {
			faults = append(faults, fmt.Sprintf("%s: number %04d is missing or stands twice", d.file, i+1))
			return faults
		}
		if d.date < last {
			faults = append(faults, d.file+": older than the one before it")
		}
		last = d.date
	}
	for _, d := range all {
		if d.supersededBy != "" && !slices.Contains(byFile[d.supersededBy].supersedes, d.file) {
			faults = append(faults, fmt.Sprintf("%s: %s does not say that it supersedes it", d.file, d.supersededBy))
		}
		for _, old := range d.supersedes {
			if byFile[old].supersededBy != d.file {
				faults = append(faults, fmt.Sprintf("%s: %s does not say that it is superseded by it", d.file, old))
			}
		}
	}
	return faults
}

// index is docs/decisions/README.md.
func index(all []decision) string {
	var b strings.Builder
	b.WriteString(`# Decisions

Why things are as they are, newest last. Each file has the choice, its reason and its
price. A decision is never rewritten into another one: write a new file with the next
number and say in both which supersedes which. This table is made by
` + "`go test ./internal/doctest -update`" + `.

| | decision | date | status |
| --- | --- | --- | --- |
`)
	for _, d := range all {
		status, _, _ := strings.Cut(d.status, ": ")
		fmt.Fprintf(&b, "| %04d | [%s](%s) | %s | %s |\n", d.number, d.title, d.file, d.date, status)
	}
	return b.String()
}

func readDecisions(t *testing.T) []decision {
	t.Helper()
	names, err := filepath.Glob(decisions + "/*")
	if err != nil {
		t.Fatal(err)
	}
	var all []decision
	for _, name := range names {
		if filepath.Base(name) == "README.md" {
			continue
		}
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		d, faults := parseDecision(filepath.Base(name), string(text))
		for _, f := range faults {
			t.Error(f)
		}
		all = append(all, d)
	}
	if len(all) == 0 {
		t.Fatal("no decisions")
	}
	return all
}

func TestDecisions(t *testing.T) {
	all := readDecisions(t)
	for _, f := range faultsAmong(all) {
		t.Error(f)
	}
	generated(t, decisions+"/README.md", index(all))
}

// generated wants a file as the code makes it, or makes it.
func generated(t *testing.T, name, want string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(name, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if got, err := os.ReadFile(name); err != nil || string(got) != want {
		t.Errorf("%s is not what is generated (%v): go test ./internal/doctest -update", name, err)
	}
}

func TestParseDecisionFindsFaults(t *testing.T) {
	const good = "# 0007. A title\n\n- Date: 2026-11-30\n- Status: accepted\n- Supersedes: [0003](0003-old.md)\n\n" +
		"## Choice\n\nThis.\n\n## Reason\n\nThat.\n\n## Price\n\nSome.\n"
	d, faults := parseDecision("0007-a-title.md", good)
	if len(faults) > 0 || d.number != 7 || d.title != "A title" || !slices.Equal(d.supersedes, []string{"0003-old.md"}) {
		t.Fatalf("%+v, %q", d, faults)
	}
	for _, change := range [][2]string{
		{"# 0007. A title\n\n", ""},
		{"0007", "0008"},
		{"2026-11-30", "2026-13-01"},
		{"- Date: 2026-11-30\n", ""},
		{"accepted", "superseded by 0009"},
		{"accepted", "withdrawn"},
		{"## Reason\n\nThat.\n\n", ""},
		{"Some.", ""},
		{"Some.\n", "Some.\n\n## Choice\n\nAnother.\n"},
	} {
		if _, faults := parseDecision("0007-a-title.md", strings.Replace(good, change[0], change[1], 1)); len(faults) != 1 {
			t.Errorf("%q instead of %q: faults %q, want one", change[1], change[0], faults)
		}
	}
}

func TestFaultsAmongDecisions(t *testing.T) {
	const day = "2026-11-30"
	for name, tt := range map[string]struct {
		all  []decision
		want int
	}{
		"good":                {[]decision{{file: "a", number: 1, date: day, supersededBy: "b"}, {file: "b", number: 2, date: day, supersedes: []string{"a"}}}, 0},
		"a number is missing": {[]decision{{file: "a", number: 1, date: day}, {file: "b", number: 3, date: day}}, 1},
		"a number twice":      {[]decision{{file: "a", number: 1, date: day}, {file: "b", number: 1, date: day}}, 1},
		"back in time":        {[]decision{{file: "a", number: 1, date: day}, {file: "b", number: 2, date: "2026-11-29"}}, 1},
		"one way only":        {[]decision{{file: "a", number: 1, date: day, supersededBy: "b"}, {file: "b", number: 2, date: day}}, 1},
		"the other way only":  {[]decision{{file: "a", number: 1, date: day}, {file: "b", number: 2, date: day, supersedes: []string{"a"}}}, 1},
		"nobody":              {[]decision{{file: "a", number: 1, date: day, supersededBy: "z"}}, 1},
	} {
		if faults := faultsAmong(tt.all); len(faults) != tt.want {
			t.Errorf("%s: %q", name, faults)
		}
	}
}
