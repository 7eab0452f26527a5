package main

import (
	"io"
	"net/url"
	"os"
	"strings"

	"github.com/wpbake/wpbake/internal/cli"
	"github.com/wpbake/wpbake/wordpress/rules"
)

const homepage = "https://github.com/wpbake/wpbake"

// The members of SARIF 2.1.0 that a report of checks has. A library would bring
// all of them, and a validator for its schema, to every node; a test holds these
// few to the schema instead.
type (
	sarifLog struct {
		Schema  string     `json:"$schema"`
		Version string     `json:"version"`
		Runs    []sarifRun `json:"runs"`
	}
	sarifRun struct {
		Tool    sarifTool     `json:"tool"`
		Results []sarifResult `json:"results"` // never null: that means that nothing was looked for
	}
	sarifTool struct {
		Driver sarifDriver `json:"driver"`
	}
	sarifDriver struct {
		Name           string      `json:"name"`
		InformationURI string      `json:"informationUri"`
		Rules          []sarifRule `json:"rules"`
	}
	sarifRule struct {
		ID               string    `json:"id"`
		Name             string    `json:"name"`
		ShortDescription sarifText `json:"shortDescription"`
		FullDescription  sarifText `json:"fullDescription"`
		Help             sarifText `json:"help"`
		HelpURI          string    `json:"helpUri"`
	}
	sarifText struct {
		Text string `json:"text"`
	}
	sarifResult struct {
		RuleID       string             `json:"ruleId"`
		Level        string             `json:"level"`
		Message      sarifText          `json:"message"`
		Locations    []sarifLocation    `json:"locations"`
		Suppressions []sarifSuppression `json:"suppressions,omitempty"`
	}
	sarifLocation struct {
		PhysicalLocation sarifPlace `json:"physicalLocation"`
	}
	sarifPlace struct {
		ArtifactLocation sarifFile    `json:"artifactLocation"`
		Region           *sarifRegion `json:"region,omitempty"` // nil is the whole file
	}
	sarifFile struct {
		URI string `json:"uri"`
	}
	sarifRegion struct {
		StartLine int `json:"startLine"`
	}
	sarifSuppression struct {
		Kind          string `json:"kind"`
		Status        string `json:"status"`
		Justification string `json:"justification"`
	}
)

// emitSARIF writes the report for code scanning.
func emitSARIF(w io.Writer, tree string, e examined) error {
	return cli.WriteJSON(w, sarifOf(tree, e.Report.Report), "  ")
}

// sarifOf is the report in SARIF 2.1.0. Waived findings are suppressed ones.
func sarifOf(tree string, r rules.Report) sarifLog {
	run := sarifRun{
		Tool:    sarifTool{Driver: sarifDriver{Name: "wpbake", InformationURI: homepage}},
		Results: []sarifResult{},
	}
	for _, rule := range rules.Catalogue() {
		run.Tool.Driver.Rules = append(run.Tool.Driver.Rules, sarifRule{
			ID: rule.ID, Name: rule.Title,
			ShortDescription: sarifText{rule.Title}, FullDescription: sarifText{rule.Why}, Help: sarifText{rule.Fix},
			HelpURI: homepage + "/blob/main/docs/checks.md#" + strings.ToLower(rule.ID),
		})
	}
	for _, f := range r.Findings {
		run.Results = append(run.Results, sarifOfFinding(tree, f))
	}
	for _, f := range r.Waived {
		result := sarifOfFinding(tree, f)
		result.Suppressions = []sarifSuppression{{Kind: "external", Status: "accepted", Justification: f.Waived}}
		run.Results = append(run.Results, result)
	}
	return sarifLog{
		Schema:  "https://raw.githubusercontent.com/oasis-tcs/sarif-spec/main/sarif-2.1/schema/sarif-schema-2.1.0.json",
		Version: "2.1.0", Runs: []sarifRun{run},
	}
}

func sarifOfFinding(tree string, f rules.Finding) sarifResult {
	levels := map[rules.Severity]string{
		rules.Block: "error", rules.Fix: "note", rules.Warn: "warning", rules.Info: "note",
	}
	place := sarifPlace{ArtifactLocation: sarifFile{URI: (&url.URL{Path: sourcePath(tree, f.Path)}).EscapedPath()}}
	if f.Line > 0 {
		place.Region = &sarifRegion{StartLine: f.Line}
	}
	return sarifResult{
		RuleID: f.ID, Level: levels[f.Severity], Message: sarifText{f.Message + ". " + f.Fix},
		Locations: []sarifLocation{{PhysicalLocation: place}},
	}
}

// isArchive reports whether a tree is named by an archive's file.
func isArchive(tree string) bool {
	info, err := os.Stat(tree)
	return err == nil && !info.IsDir()
}
