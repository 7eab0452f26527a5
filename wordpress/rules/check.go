package rules

import (
	"cmp"
	"context"
	"fmt"
	"io/fs"
	"slices"

	"github.com/wpbake/wpbake/wordpress"
	"github.com/wpbake/wpbake/wordpress/database"
	"github.com/wpbake/wpbake/wordpress/nodeconfig"
	"github.com/wpbake/wpbake/wordpress/php"
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

// Waiver lets a finding pass: exactly this rule at exactly this path.
type Waiver struct {
	ID     string
	Path   string
	Reason string
}

// Options say what a tree is checked against. The zero value checks the
// tree alone; everything else is judged only where it is known.
type Options struct {
	Dir       string                 // the tree's absolute path, to recognise it in files; may be empty
	Above     fs.FS                  // the directory that holds the tree, where WordPress looks for wp-config.php too
	Exclude   func(path string) bool // what no release holds, as the operator said; nil excludes nothing
	Waivers   []Waiver
	Strict    bool               // a warning blocks
	Cron      string             // who runs cron; empty is nobody
	Parser    Parser             // nil looks for signs of broken PHP only
	Checksums fs.FS              // published checksums, see Checksums in docs/checks.md
	Node      *nodeconfig.Config // how nodes are configured
	Database  *database.Facts    // what the database in service holds
	Before    fs.FS              // the tree in service
	Runtime   *Runtime           // what was refused while the tree ran read-only
	Previous  *Previous          // a check of the tree as it was; nil reads all of it
}

// Report is what a check found.
type Report struct {
	Findings []Finding // worst first, then by id and path
	Waived   []Finding
	Unused   []Waiver // that met no finding
	Repairs  Repairs
	Files    int
	Bytes    int64
	Site     *wordpress.Site // nil when the tree is not WordPress
	Parsed   Parsed
	Notes    []byte // for the Previous of a check to come
}

// Previous is a check by this very program. What it noted of a file's content
// is taken from there as long as the file is unchanged; the findings are those
// of a check that reads all files.
type Previous struct {
	Notes     []byte                 // of its Report; what is no such notes is ignored
	Unchanged func(path string) bool // whether a file is as that check read it
}

// Repairs are what an artifact of the tree must hold instead of the tree.
// NeverShipped is left out besides.
type Repairs struct {
	Replace map[string][]byte // contents of files by path, also in place of links
}

// Blocked reports whether the tree must not be released.
func (r *Report) Blocked() bool { return r.Count(Block) > 0 }

// Count returns how many findings have a severity.
func (r *Report) Count(s Severity) int {
	n := 0
	for i := range r.Findings {
		if r.Findings[i].Severity == s {
			n++
		}
	}
	return n
}

// Check looks at a tree with all rules of the Catalogue that the options give
// grounds for. It changes nothing and runs nothing of the tree. The error is
// about reading the tree; faults of the tree are findings.
func Check(ctx context.Context, tree fs.FS, o Options) (Report, error) {
	c := &checker{Options: o, tree: tree, rules: map[string]Rule{}}
	for _, r := range Catalogue() {
		c.rules[r.ID] = r
	}
	c.previous = readNotes(o.Previous)
	c.headers.Known = c.previous.headersOf
	if err := c.walk(ctx); err != nil {
		return Report{}, fmt.Errorf("reading tree: %w", err)
	}
	if err := c.look(ctx); err != nil {
		return Report{}, fmt.Errorf("reading tree: %w", err)
	}
	for _, judge := range judges() {
		judge(c)
	}
	if err := c.parse(ctx); err != nil {
		return Report{}, err
	}
	return c.finish(), nil
}

// judges are all rules, by what they look at. Each adds findings.
func judges() []func(*checker) {
	return slices.Concat(treeJudges(), writeJudges(), configJudges(), serverJudges(), needJudges(), changeJudges(), nodeJudges())
}

// checker is one run of Check.
type checker struct {
	Options
	tree  fs.FS
	rules map[string]Rule

	files    []file // all that is not left out, by path
	byPath   map[string]*file
	left     []leftOut       // what a release never holds
	site     *wordpress.Site // nil when the tree is not WordPress
	previous notes           // of the check before
	headers  wordpress.HeaderLog
	syntax   []php.SyntaxError
	report   Report
}

// place is where something was found.
type place struct {
	path string
	line int
}

func at(path string) place { return place{path: path} }

func atConstant(k wpconfig.Constant) place { return place{k.Path, k.Line} }

func atDirective(d nodeconfig.Directive) place { return place{d.Path, d.Line} }

func (c *checker) info(id string, p place, format string, args ...any) {
	c.add(Info, id, p, fmt.Sprintf(format, args...))
}

func (c *checker) warn(id string, p place, format string, args ...any) {
	c.add(Warn, id, p, fmt.Sprintf(format, args...))
}

func (c *checker) fix(id string, p place, format string, args ...any) {
	c.add(Fix, id, p, fmt.Sprintf(format, args...))
}

func (c *checker) block(id string, p place, format string, args ...any) {
	c.add(Block, id, p, fmt.Sprintf(format, args...))
}

func (c *checker) add(s Severity, id string, p place, message string) {
	rule := c.rules[id]
	if c.Strict && s == Warn {
		s = Block
	}
	c.report.Findings = append(c.report.Findings, Finding{
		ID: id, Severity: s, Path: p.path, Line: p.line, Message: message, Why: rule.Why, Fix: rule.Fix,
	})
}

// replace gives a path other content in the artifact.
func (c *checker) replace(path string, content []byte) {
	if c.report.Repairs.Replace == nil {
		c.report.Repairs.Replace = map[string][]byte{}
	}
	c.report.Repairs.Replace[path] = content
}

// finish applies waivers and puts findings in order.
func (c *checker) finish() Report {
	r := &c.report
	used := make([]bool, len(c.Waivers))
	r.Findings = slices.DeleteFunc(r.Findings, func(f Finding) bool {
		i := slices.IndexFunc(c.Waivers, func(w Waiver) bool { return w.ID == f.ID && w.Path == f.Path })
		if i < 0 || f.Severity == Fix {
			return false
		}
		used[i] = true
		f.Waived = c.Waivers[i].Reason
		r.Waived = append(r.Waived, f)
		return true
	})
	for i, w := range c.Waivers {
		if !used[i] {
			r.Unused = append(r.Unused, w)
		}
	}
	sortFindings(r.Findings)
	r.Findings = slices.CompactFunc(r.Findings, func(a, b Finding) bool { return a == b })
	sortFindings(r.Waived)
	r.Site = c.site
	r.Notes = c.notes()
	return *r
}

func sortFindings(list []Finding) {
	slices.SortFunc(list, func(a, b Finding) int {
		return cmp.Or(
			cmp.Compare(b.Severity, a.Severity), cmp.Compare(a.ID, b.ID),
			cmp.Compare(a.Path, b.Path), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Message, b.Message))
	})
}
