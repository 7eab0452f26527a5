package rules

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/wpbake/wpbake/wordpress/nodeconfig"
	"github.com/wpbake/wpbake/wordpress/scan"
	"github.com/wpbake/wpbake/wordpress/wpconfig"
)

// Severity says what a finding means for a release. A higher one is worse.
type Severity int

// Severities.
const (
	Info  Severity = iota // told, and nothing else
	Warn                  // told; the release goes on
	Fix                   // repaired in the artifact, never in the tree
	Block                 // the tree is refused, unless a waiver names it
)

func (s Severity) String() string {
	return [...]string{"info", "warn", "fix", "block"}[s]
}

// MarshalText writes the severity as its word.
func (s Severity) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Finding is one fault at one place.
type Finding struct {
	ID       string   `json:"id"` // of a Rule
	Severity Severity `json:"severity"`
	Path     string   `json:"path"` // below the tree; "." is the whole of it
	Line     int      `json:"line,omitempty"`
	Message  string   `json:"message"`
	Why      string   `json:"why"`
	Fix      string   `json:"fix"`
	Waived   string   `json:"waived,omitempty"` // the waiver's reason
}

func sortFindings(list []Finding) {
	slices.SortFunc(list, func(a, b Finding) int {
		return cmp.Or(
			cmp.Compare(b.Severity, a.Severity), cmp.Compare(a.ID, b.ID),
			cmp.Compare(a.Path, b.Path), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Message, b.Message))
	})
}

// Waiver lets a finding pass: exactly this rule at exactly this path.
type Waiver struct {
	ID     string
	Path   string
	Reason string
}

// waive parts findings into those that stay and those that a waiver lets pass,
// and returns the waivers that met none. What is repaired needs no waiver.
func waive(findings []Finding, waivers []Waiver) (stay, waived []Finding, unused []Waiver) {
	used := make([]bool, len(waivers))
	stay = slices.DeleteFunc(findings, func(f Finding) bool {
		i := slices.IndexFunc(waivers, func(w Waiver) bool { return w.ID == f.ID && w.Path == f.Path })
		if i < 0 || f.Severity == Fix {
			return false
		}
		used[i] = true
		f.Waived = waivers[i].Reason
		waived = append(waived, f)
		return true
	})
	for i, w := range waivers {
		if !used[i] {
			unused = append(unused, w)
		}
	}
	return stay, waived, unused
}

// place is where something was found.
type place struct {
	path string
	line int
}

func at(path string) place { return place{path: path} }

func atMatch(f *scan.File, m scan.Match) place { return place{f.Path, m.Line} }

func atConstant(k wpconfig.Constant) place { return place{k.Path, k.Line} }

func atDirective(d nodeconfig.Directive) place { return place{d.Path, d.Line} }

// hit is a fault that a rule's function found; which rule it was, the table
// knows.
type hit struct {
	severity Severity
	place    place
	message  string
	repair   *repair // what the artifact holds instead; nil changes no content
}

type repair struct{ content []byte }

// hits are what one function found, in any order.
type hits []hit

func (h *hits) info(p place, format string, args ...any) { h.add(Info, p, format, args...) }

func (h *hits) warn(p place, format string, args ...any) { h.add(Warn, p, format, args...) }

func (h *hits) fix(p place, format string, args ...any) { h.add(Fix, p, format, args...) }

func (h *hits) block(p place, format string, args ...any) { h.add(Block, p, format, args...) }

func (h *hits) add(s Severity, p place, format string, args ...any) {
	*h = append(*h, hit{severity: s, place: p, message: fmt.Sprintf(format, args...)})
}

// replace is fix with the content that the artifact holds at the place.
func (h *hits) replace(p place, content []byte, format string, args ...any) {
	h.fix(p, format, args...)
	(*h)[len(*h)-1].repair = &repair{content}
}
