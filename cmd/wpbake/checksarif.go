package main

import (
	"net/url"
	"os"
	"strings"

	"github.com/owenrumney/go-sarif/v3/pkg/report/v210/sarif"

	"github.com/wpbake/wpbake/wordpress"
)

const homepage = "https://github.com/wpbake/wpbake"

// showSARIF writes the report for code scanning.
func (c *cli) showSARIF(tree string, e examined) error {
	return sarifOf(tree, e.Report).PrettyWrite(c.Stdout)
}

// sarifOf is the report in SARIF 2.1.0. Waived findings are suppressed ones.
func sarifOf(tree string, r wordpress.Report) *sarif.Report {
	run := sarif.NewRunWithInformationURI("wpbake", homepage)
	for _, rule := range wordpress.Catalogue() {
		run.AddRule(rule.ID).
			WithName(rule.Title).
			WithShortDescription(text210(rule.Title)).
			WithFullDescription(text210(rule.Why)).
			WithHelp(text210(rule.Fix)).
			WithHelpURI(homepage + "/blob/main/docs/checks.md#" + strings.ToLower(rule.ID))
	}
	for _, f := range r.Findings {
		run.AddResult(sarifResult(tree, f))
	}
	for _, f := range r.Waived {
		run.AddResult(sarifResult(tree, f).AddSuppression(
			sarif.NewSuppression().WithKind("external").WithStatus("accepted").WithJustification(f.Waived)))
	}
	return sarif.NewReport().AddRun(run)
}

func text210(s string) *sarif.MultiformatMessageString {
	return sarif.NewMultiformatMessageString().WithText(s)
}

func sarifResult(tree string, f wordpress.Finding) *sarif.Result {
	levels := map[wordpress.Severity]string{
		wordpress.Block: "error", wordpress.Fix: "note", wordpress.Warn: "warning", wordpress.Info: "note",
	}
	place := sarif.NewPhysicalLocation().WithArtifactLocation(
		sarif.NewSimpleArtifactLocation((&url.URL{Path: sourcePath(tree, f.Path)}).EscapedPath()))
	if f.Line > 0 {
		place = place.WithRegion(sarif.NewRegion().WithStartLine(f.Line))
	}
	return sarif.NewRuleResult(f.ID).WithLevel(levels[f.Severity]).
		WithMessage(sarif.NewTextMessage(f.Message + ". " + f.Fix)).
		AddLocation(sarif.NewLocationWithPhysicalLocation(place))
}

// isArchive reports whether a tree is named by an archive's file.
func isArchive(tree string) bool {
	info, err := os.Stat(tree)
	return err == nil && !info.IsDir()
}
