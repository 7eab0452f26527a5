package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/xeipuuv/gojsonschema"

	"github.com/wpbake/wpbake/wordpress/rules"
)

// Code scanning takes only what fits the schema.
func TestSARIFFitsItsSchema(t *testing.T) {
	r := rules.Report{
		Findings: []rules.Finding{
			{ID: "T07", Severity: rules.Block, Path: "wp-content/a b.sql", Message: "m", Why: "w", Fix: "f"},
			{ID: "C01", Severity: rules.Warn, Path: "wp-config.php", Line: 3, Message: "m", Why: "w", Fix: "f"},
			{ID: "T01", Severity: rules.Info, Path: ".", Message: "m", Why: "w", Fix: "f"},
		},
		Waived: []rules.Finding{{ID: "T06", Severity: rules.Fix, Path: ".git", Message: "m", Waived: "because"}},
	}
	schema := sarifSchema(t)
	none, s := sarifOf("site", rules.Report{}), sarifOf("site", r)
	for _, log := range []sarifLog{none, s} {
		if faults := schema(log); len(faults) > 0 {
			t.Errorf("%d results: %v", len(log.Runs[0].Results), faults)
		}
	}
	results := s.Runs[0].Results
	if len(results) != 4 || len(results[3].Suppressions) != 1 || len(results[0].Suppressions) != 0 {
		t.Fatalf("%d results", len(results))
	}
	if got := results[0].Locations[0].PhysicalLocation.ArtifactLocation.URI; got != "site/wp-content/a%20b.sql" {
		t.Errorf("uri %q", got)
	}
	if len(s.Runs[0].Tool.Driver.Rules) != len(rules.Catalogue()) {
		t.Errorf("%d rules", len(s.Runs[0].Tool.Driver.Rules))
	}
	results[1].Locations[0].PhysicalLocation.Region.StartLine = 0
	results[2].Level = "info"
	if faults := schema(s); len(faults) != 2 {
		t.Errorf("a line 0 and an unknown level: faults %v", faults)
	}
}

// sarifSchema judges logs by OASIS's schema.
func sarifSchema(t *testing.T) func(sarifLog) []gojsonschema.ResultError {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", "sarif-schema-2.1.0.json"))
	if err != nil {
		t.Fatal(err)
	}
	schema, err := gojsonschema.NewSchema(gojsonschema.NewBytesLoader(text))
	if err != nil {
		t.Fatal(err)
	}
	return func(log sarifLog) []gojsonschema.ResultError {
		t.Helper()
		result, err := schema.Validate(gojsonschema.NewGoLoader(log))
		if err != nil {
			t.Fatal(err)
		}
		return result.Errors()
	}
}
