package rules_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/wpbake/wpbake/wordpress/rules"
)

const docs = "../../docs/checks.md"

// docs/checks.md ends in the catalogue as the code has it.
func TestDocs(t *testing.T) {
	old, err := os.ReadFile(docs)
	if err != nil {
		t.Fatal(err)
	}
	const end = "-update -->\n"
	head, _, ok := strings.Cut(string(old), end)
	if !ok {
		t.Fatalf("%s does not say what is generated", docs)
	}
	want := head + end + rulesTable()
	if *update {
		if err := os.WriteFile(docs, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if want != string(old) {
		t.Errorf("%s is not what the code says: go test ./wordpress/rules -run TestDocs -update", docs)
	}
}

func rulesTable() string {
	var b strings.Builder
	part := byte(0)
	needs := map[rules.Phase]string{
		rules.InTree: "", rules.InChange: "the tree in service", rules.InNode: "the nodes' configuration",
		rules.InData: "the database", rules.InRun: "a run on a read-only tree",
	}
	for _, r := range rules.Catalogue() {
		if r.ID[0] != part {
			part = r.ID[0]
			fmt.Fprintf(&b, "\n### %c: %s\n\n| id | rule | severity | why | fix |\n| --- | --- | --- | --- | --- |\n", part, parts()[part])
		}
		var words []string
		for _, s := range r.Severities {
			words = append(words, s.String())
		}
		title := r.Title
		if need := needs[r.Phase]; need != "" {
			title += " (needs " + need + ")"
		}
		fmt.Fprintf(&b, "| <a id=%q></a>%s | %s | %s | %s | %s |\n",
			strings.ToLower(r.ID), r.ID, cell(title), strings.Join(words, ", "), cell(r.Why), cell(r.Fix))
	}
	return b.String()
}

// cell keeps a text in its cell of a table.
func cell(s string) string {
	return strings.NewReplacer("|", `\|`, "<", "&lt;", "*", `\*`, "_", `\_`).Replace(s)
}

func TestCatalogue(t *testing.T) {
	seen := map[string]bool{}
	for _, r := range rules.Catalogue() {
		if seen[r.ID] || r.Title == "" || r.Why == "" || r.Fix == "" || len(r.Severities) == 0 || r.Phase == "" || parts()[r.ID[0]] == "" {
			t.Errorf("rule %q stands twice or is incomplete", r.ID)
		}
		seen[r.ID] = true
	}
}

// parts names the parts of the catalogue by the letter that ids begin with.
func parts() map[byte]string {
	return map[byte]string{
		'T': "The shape of the tree",
		'W': "What WordPress and plugins write at run time",
		'C': "Configuration",
		'D': "Drop-ins, must-use plugins and server files",
		'R': "What the tree needs of nodes and database",
		'X': "This tree against the one in service",
		'N': "The nodes",
	}
}
