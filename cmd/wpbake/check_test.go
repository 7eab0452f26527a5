package main

import (
	"testing"

	"github.com/wpbake/wpbake/wordpress"
)

// Code scanning takes only what fits the schema.
func TestSARIFFitsItsSchema(t *testing.T) {
	r := wordpress.Report{
		Findings: []wordpress.Finding{
			{ID: "T07", Severity: wordpress.Block, Path: "wp-content/a b.sql", Message: "m", Why: "w", Fix: "f"},
			{ID: "C01", Severity: wordpress.Warn, Path: "wp-config.php", Line: 3, Message: "m", Why: "w", Fix: "f"},
			{ID: "T01", Severity: wordpress.Info, Path: ".", Message: "m", Why: "w", Fix: "f"},
		},
		Waived: []wordpress.Finding{{ID: "T06", Severity: wordpress.Fix, Path: ".git", Message: "m", Waived: "because"}},
	}
	s := sarifOf("site", r)
	if err := s.Validate(); err != nil {
		t.Fatal(err)
	}
	results := s.Runs[0].Results
	if len(results) != 4 || len(results[3].Suppressions) != 1 || len(results[0].Suppressions) != 0 {
		t.Fatalf("%d results", len(results))
	}
	if got := *results[0].Locations[0].PhysicalLocation.ArtifactLocation.URI; got != "site/wp-content/a%20b.sql" {
		t.Errorf("uri %q", got)
	}
	if len(s.Runs[0].Tool.Driver.Rules) != len(wordpress.Catalogue()) {
		t.Errorf("%d rules", len(s.Runs[0].Tool.Driver.Rules))
	}
}

func TestWorkflowCommandsAreEscaped(t *testing.T) {
	if got, want := property("a:b,c%\nd"), "a%3Ab%2Cc%25%0Ad"; got != want {
		t.Errorf("property %q, want %q", got, want)
	}
	if got, want := message("a:b,c%\rd"), "a:b,c%25%0Dd"; got != want {
		t.Errorf("message %q, want %q", got, want)
	}
}
