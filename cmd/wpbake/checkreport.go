package main

import (
	"encoding/json"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/wpbake/wpbake/wordpress"
)

// Formats of a check's answer.
const (
	formatText   = "text"
	formatJSON   = "json"
	formatSARIF  = "sarif"
	formatGitHub = "github"
)

func formats() []string { return []string{formatText, formatJSON, formatSARIF, formatGitHub} }

// blocked is a tree that must not be released.
type blocked struct {
	tree     string
	findings []wordpress.Finding
}

// How many findings an error names.
const namedFindings = 5

func (e *blocked) Error() string {
	var names []string
	for _, f := range e.findings {
		if f.Severity == wordpress.Block {
			names = append(names, f.ID+" "+f.Path)
		}
	}
	more := ""
	if n := len(names) - namedFindings; n > 0 {
		names, more = names[:namedFindings], fmt.Sprintf(" and %d more", n)
	}
	return fmt.Sprintf("tree %q is blocked by %s%s", e.tree, strings.Join(names, ", "), more)
}

// Hint says what to do next.
func (e *blocked) Hint() string {
	return "wpbake check " + e.tree + " says why, and how to mend it; a waiver in wpbake.yaml lets one finding pass"
}

// blockedBy is an error when a report blocks.
func blockedBy(tree string, r wordpress.Report) error {
	if !r.Blocked() {
		return nil
	}
	return &blocked{tree: tree, findings: r.Findings}
}

// admit lets a tree pass into a build, or says what blocks it.
func (c *cli) admit(tree string, e examined) error {
	for _, f := range e.Findings {
		if f.Severity == wordpress.Block {
			c.note("blocked: %s %s: %s", f.ID, location(f), f.Message)
		}
	}
	if err := blockedBy(tree, e.Report); err != nil {
		return err
	}
	var parts []string
	for _, s := range []struct {
		n    int
		what string
	}{{e.Count(wordpress.Fix), "repaired in the artifact"}, {e.Count(wordpress.Warn), "to look at"}, {len(e.Waived), "waived"}} {
		if s.n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", s.n, s.what))
		}
	}
	if len(parts) > 0 {
		c.note("check: %s; wpbake check %s shows them", strings.Join(parts, ", "), tree)
	}
	c.unusedWaivers(e.Report)
	return nil
}

func (c *cli) unusedWaivers(r wordpress.Report) {
	for _, w := range r.Unused {
		c.note("the waiver of %s at %s meets no finding: remove it", w.ID, w.Path)
	}
}

func location(f wordpress.Finding) string {
	if f.Line > 0 {
		return fmt.Sprintf("%s:%d", f.Path, f.Line)
	}
	return f.Path
}

// showReport answers a check in the format that was asked for.
func (c *cli) showReport(o checkOptions, e examined, laps []lap) error {
	format := o.format
	if c.flags.json && format == formatText {
		format = formatJSON
	}
	switch format {
	case formatJSON:
		return c.showJSON(o.tree.spec, e, laps)
	case formatSARIF:
		return c.showSARIF(o.tree.spec, e)
	case formatGitHub:
		c.showGitHub(o.tree.spec, e)
	default:
		c.showText(e, laps)
	}
	return nil
}

// showText lists findings by severity, then by rule: the rule's reason and
// remedy once for all its places.
func (c *cli) showText(e examined, laps []lap) {
	titles := map[string]string{}
	for _, r := range wordpress.Catalogue() {
		titles[r.ID] = r.Title
	}
	heads := map[wordpress.Severity]string{
		wordpress.Block: "BLOCK", wordpress.Fix: "FIX", wordpress.Warn: "WARN", wordpress.Info: "INFO",
	}
	for group := range slices.Values(byRule(e.Findings)) {
		first := group[0]
		c.say("%s %s %s", heads[first.Severity], first.ID, titles[first.ID])
		for i, f := range group {
			if i == shownPlaces {
				c.say("  and %d more; --format json lists all", len(group)-i)
				break
			}
			c.say("  %s: %s", location(f), f.Message)
		}
		c.say("  why: %s", first.Why)
		c.say("  fix: %s", first.Fix)
	}
	for _, f := range e.Waived {
		c.say("waived %s %s: %s (%s)", f.ID, location(f), f.Message, f.Waived)
	}
	c.unusedWaivers(e.Report)
	c.say("%s", summary(e, laps))
}

const shownPlaces = 10

// byRule groups findings of one severity and rule; they come in that order.
func byRule(list []wordpress.Finding) [][]wordpress.Finding {
	var groups [][]wordpress.Finding
	for i, f := range list {
		if i == 0 || f.ID != list[i-1].ID || f.Severity != list[i-1].Severity {
			groups = append(groups, nil)
		}
		groups[len(groups)-1] = append(groups[len(groups)-1], f)
	}
	return groups
}

func summary(e examined, laps []lap) string {
	if e.summary != "" {
		return e.summary
	}
	total := laps[len(laps)-1].Seconds
	s := fmt.Sprintf("%d block, %d repaired, %d to look at, %d to know, %d waived: %d files, %s, in %.2fs",
		e.Count(wordpress.Block), e.Count(wordpress.Fix), e.Count(wordpress.Warn), e.Count(wordpress.Info), len(e.Waived),
		e.Files, size(e.Bytes), total-e.parsing.Seconds())
	if e.php == "" {
		return s + "; no PHP was parsed: " + e.unread
	}
	return s + fmt.Sprintf("; PHP %s parsed %d files in %.2fs", e.php, e.Parsed.Files, e.parsing.Seconds())
}

// showJSON writes one object.
func (c *cli) showJSON(tree string, e examined, laps []lap) error {
	type wordpressSite struct {
		Core   string `json:"core"`
		Layout string `json:"layout"`
	}
	answer := struct {
		Tree     string              `json:"tree"`
		Blocked  bool                `json:"blocked"`
		Findings []wordpress.Finding `json:"findings"`
		Waived   []wordpress.Finding `json:"waived"`
		Files    int                 `json:"files"`
		Bytes    int64               `json:"bytes"`
		Site     *wordpressSite      `json:"wordpress,omitempty"`
		Seconds  float64             `json:"seconds"`
		PHP      string              `json:"php,omitempty"`
		Parsed   int                 `json:"parsed"`
		Parsing  float64             `json:"parsing_seconds"`
	}{
		Tree: tree, Blocked: e.Blocked(), Findings: orNone(e.Findings), Waived: orNone(e.Waived), Files: e.Files, Bytes: e.Bytes,
		Seconds: laps[len(laps)-1].Seconds - e.parsing.Seconds(), PHP: e.php, Parsed: e.Parsed.Files, Parsing: e.parsing.Seconds(),
	}
	if e.Site != nil {
		answer.Site = &wordpressSite{e.Site.WordPress.Core, e.Site.WordPress.Layout}
	}
	enc := json.NewEncoder(c.Stdout)
	enc.SetEscapeHTML(false)
	return enc.Encode(answer)
}

// orNone is an empty list in JSON, never null.
func orNone(list []wordpress.Finding) []wordpress.Finding {
	return append([]wordpress.Finding{}, list...)
}

// showGitHub writes workflow commands, which GitHub shows beside the lines.
func (c *cli) showGitHub(tree string, e examined) {
	words := map[wordpress.Severity]string{
		wordpress.Block: "error", wordpress.Fix: "notice", wordpress.Warn: "warning", wordpress.Info: "notice",
	}
	for _, f := range e.Findings {
		where := "file=" + property(sourcePath(tree, f.Path))
		if f.Line > 0 {
			where += fmt.Sprintf(",line=%d", f.Line)
		}
		c.say("::%s %s,title=%s::%s", words[f.Severity], where, property("wpbake "+f.ID), message(f.Message+". "+f.Why+" "+f.Fix))
	}
}

// property and message escape as workflow commands want it.
func property(s string) string {
	return strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A", ":", "%3A", ",", "%2C").Replace(s)
}

func message(s string) string {
	return strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A").Replace(s)
}

// sourcePath is where a finding's file lies for whoever ran the command: in
// the tree when that is a directory. Archives and revisions have no such path.
func sourcePath(tree, p string) string {
	if strings.HasPrefix(tree, "git:") || isArchive(tree) {
		return p
	}
	return path.Join(tree, p)
}
