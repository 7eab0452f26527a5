package main

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/wpbake/wpbake/internal/cli"
	"github.com/wpbake/wpbake/wordpress/rules"
)

// Formats of a check's answer.
const (
	formatText   = "text"
	formatJSON   = "json"
	formatSARIF  = "sarif"
	formatGitHub = "github"
)

func formats() []string { return []string{formatText, formatJSON, formatSARIF, formatGitHub} }

// noteReport tells what a check found in a tree that is to be built.
func noteReport(out *cli.Output, tree string, r rules.Report) {
	for _, f := range r.Findings {
		if f.Severity == rules.Block {
			out.Note("blocked: %s %s: %s", f.ID, location(f), f.Message)
		}
	}
	if r.Blocked() {
		return
	}
	var parts []string
	for _, s := range []struct {
		n    int
		what string
	}{{r.Count(rules.Fix), "repaired in the artifact"}, {r.Count(rules.Warn), "to look at"}, {len(r.Waived), "waived"}} {
		if s.n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", s.n, s.what))
		}
	}
	if len(parts) > 0 {
		out.Note("check: %s; wpbake check %s shows them", strings.Join(parts, ", "), tree)
	}
	noteUnusedWaivers(out, r)
}

func noteUnusedWaivers(out *cli.Output, r rules.Report) {
	for _, w := range r.Unused {
		out.Note("the waiver of %s at %s meets no finding: remove it", w.ID, w.Path)
	}
}

func location(f rules.Finding) string {
	if f.Line > 0 {
		return fmt.Sprintf("%s:%d", f.Path, f.Line)
	}
	return f.Path
}

// emitReport answers a check in the format that was asked for.
func emitReport(out *cli.Output, o checkOptions, e examined) error {
	format := o.format
	if out.JSON && format == formatText {
		format = formatJSON
	}
	switch format {
	case formatJSON:
		return emitJSON(out, o.tree, e)
	case formatSARIF:
		return emitSARIF(out.Stdout, o.tree, e)
	case formatGitHub:
		emitGitHub(out, o.tree, e)
	default:
		emitText(out, e)
	}
	return nil
}

// emitText lists findings by severity, then by rule: the rule's reason and
// remedy once for all its places.
func emitText(out *cli.Output, e examined) {
	titles := map[string]string{}
	for _, r := range rules.Catalogue() {
		titles[r.ID] = r.Title
	}
	heads := map[rules.Severity]string{
		rules.Block: "BLOCK", rules.Fix: "FIX", rules.Warn: "WARN", rules.Info: "INFO",
	}
	for group := range slices.Values(byRule(e.Findings)) {
		first := group[0]
		out.Say("%s %s %s", heads[first.Severity], first.ID, titles[first.ID])
		for i, f := range group {
			if i == shownPlaces {
				out.Say("  and %d more; --format json lists all", len(group)-i)
				break
			}
			out.Say("  %s: %s", location(f), f.Message)
		}
		out.Say("  why: %s", first.Why)
		out.Say("  fix: %s", first.Fix)
	}
	for _, f := range e.Waived {
		out.Say("waived %s %s: %s (%s)", f.ID, location(f), f.Message, f.Waived)
	}
	noteUnusedWaivers(out, e.Report.Report)
	out.Say("%s", summary(e))
}

const shownPlaces = 10

// byRule groups findings of one severity and rule; they come in that order.
func byRule(list []rules.Finding) [][]rules.Finding {
	var groups [][]rules.Finding
	for i, f := range list {
		if i == 0 || f.ID != list[i-1].ID || f.Severity != list[i-1].Severity {
			groups = append(groups, nil)
		}
		groups[len(groups)-1] = append(groups[len(groups)-1], f)
	}
	return groups
}

func summary(e examined) string {
	if e.summary != "" {
		return e.summary
	}
	s := fmt.Sprintf("%d block, %d repaired, %d to look at, %d to know, %d waived: %d files, %s, in %.2fs",
		e.Count(rules.Block), e.Count(rules.Fix), e.Count(rules.Warn), e.Count(rules.Info), len(e.Waived),
		e.Files, cli.Size(e.Bytes), (e.Took - e.Parsing).Seconds())
	if e.PHP == "" {
		return s + "; no PHP was parsed: " + e.Unasked
	}
	return s + fmt.Sprintf("; PHP %s parsed %d files in %.2fs", e.PHP, e.Parsed.Files, e.Parsing.Seconds())
}

// emitJSON writes one object.
func emitJSON(out *cli.Output, tree string, e examined) error {
	type wordpressSite struct {
		Core   string `json:"core"`
		Layout string `json:"layout"`
	}
	answer := struct {
		Tree     string          `json:"tree"`
		Blocked  bool            `json:"blocked"`
		Findings []rules.Finding `json:"findings"`
		Waived   []rules.Finding `json:"waived"`
		Files    int             `json:"files"`
		Bytes    int64           `json:"bytes"`
		Site     *wordpressSite  `json:"wordpress,omitempty"`
		Seconds  float64         `json:"seconds"`
		PHP      string          `json:"php,omitempty"`
		Parsed   int             `json:"parsed"`
		Parsing  float64         `json:"parsing_seconds"`
	}{
		Tree: tree, Blocked: e.Blocked(), Findings: orNone(e.Findings), Waived: orNone(e.Waived), Files: e.Files, Bytes: e.Bytes,
		Seconds: (e.Took - e.Parsing).Seconds(), PHP: e.PHP, Parsed: e.Parsed.Files, Parsing: e.Parsing.Seconds(),
	}
	if e.Site != nil {
		answer.Site = &wordpressSite{e.Site.WordPress.Core, e.Site.WordPress.Layout}
	}
	return cli.WriteJSON(out.Stdout, answer, "")
}

// orNone is an empty list in JSON, never null.
func orNone(list []rules.Finding) []rules.Finding {
	return append([]rules.Finding{}, list...)
}

// emitGitHub writes workflow commands, which GitHub shows beside the lines.
func emitGitHub(out *cli.Output, tree string, e examined) {
	words := map[rules.Severity]string{
		rules.Block: "error", rules.Fix: "notice", rules.Warn: "warning", rules.Info: "notice",
	}
	for _, f := range e.Findings {
		out.Annotate(cli.Annotation{
			Level: words[f.Severity], File: sourcePath(tree, f.Path), Line: f.Line,
			Title: "wpbake " + f.ID, Text: f.Message + ". " + f.Why + " " + f.Fix,
		})
	}
}

// sourcePath is where a finding's file lies for whoever ran the command: in
// the tree when that is a directory. Archives and revisions have no such path.
func sourcePath(tree, p string) string {
	if strings.HasPrefix(tree, "git:") || isArchive(tree) {
		return p
	}
	return path.Join(tree, p)
}
