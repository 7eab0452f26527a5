package rules

import (
	"context"
	"fmt"
	"io/fs"
	"slices"

	"github.com/wpbake/wpbake/wordpress"
	"github.com/wpbake/wpbake/wordpress/database"
	"github.com/wpbake/wpbake/wordpress/nodeconfig"
	"github.com/wpbake/wpbake/wordpress/scan"
)

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
	previous := readNotes(o.Previous)
	v := &view{Options: o}
	var err error
	v.tree, err = scan.Read(ctx, tree, scan.Options{Exclude: o.Exclude, LeaveOut: newExclusions().of, Known: previous.matchesOf})
	if err != nil {
		return Report{}, fmt.Errorf("reading tree: %w", err)
	}
	headers := wordpress.HeaderLog{Known: previous.headersOf}
	v.site, v.siteErr = wordpress.ReadSiteLogged(tree, &headers)
	if v.site != nil && o.Before != nil {
		v.inService = &inService{fsys: o.Before}
		v.inService.site, v.inService.err = wordpress.ReadSite(o.Before)
	}
	var parsed Parsed
	if v.syntax, parsed, err = parseTree(ctx, v.tree, o.Parser, previous); err != nil {
		return Report{}, err
	}
	r := judge(v, Catalogue())
	r.Files, r.Bytes, r.Site, r.Parsed = v.tree.Regular, v.tree.Bytes, v.site, parsed
	r.Notes = takeNotes(v.tree, o.Parser, v.syntax, &headers)
	return r, nil
}

// CheckRuntime judges what a run of a tree wanted to write, and nothing else.
func CheckRuntime(o Options) Report {
	return judge(&view{Options: o}, runtimeRules())
}

// judge looks with each rule, and puts what is found in order.
func judge(v *view, rules []Rule) Report {
	var r Report
	for _, rule := range rules {
		for _, h := range rule.find(v) {
			if h.repair != nil {
				r.Repairs.add(h.place.path, h.repair.content)
			}
			if v.Strict && h.severity == Warn {
				h.severity = Block
			}
			r.Findings = append(r.Findings, Finding{
				ID: rule.ID, Severity: h.severity, Path: h.place.path, Line: h.place.line, Message: h.message, Why: rule.Why, Fix: rule.Fix,
			})
		}
	}
	r.Findings, r.Waived, r.Unused = waive(r.Findings, v.Waivers)
	sortFindings(r.Findings)
	r.Findings = slices.CompactFunc(r.Findings, func(a, b Finding) bool { return a == b })
	sortFindings(r.Waived)
	return r
}

// add gives a path other content in the artifact.
func (r *Repairs) add(path string, content []byte) {
	if r.Replace == nil {
		r.Replace = map[string][]byte{}
	}
	r.Replace[path] = content
}
