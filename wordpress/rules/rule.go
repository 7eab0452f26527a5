// Package rules judges trees: each rule of the catalogue is a value with the
// function that finds its faults, which reads what it asks for and nothing
// else.
//
// It knows what breaks a fleet of nodes that cannot be written. It refuses to
// change a tree, to run anything of it, and to ask nodes or databases: what is
// known of those is handed in.
package rules

import (
	"cmp"
	"slices"
	"strings"
)

// Phase says what a rule needs to know besides the tree.
type Phase string

// Phases.
const (
	InTree   Phase = "tree"     // the tree alone
	InChange Phase = "change"   // the tree in service as well
	InNode   Phase = "node"     // the nodes' configuration
	InData   Phase = "database" // the live database
	InRun    Phase = "runtime"  // a run of the tree
)

// Rule is an entry of the catalogue. Its id never changes its meaning.
type Rule struct {
	ID         string
	Title      string
	Severities []Severity // that its findings can have
	Phase      Phase
	Why        string // it breaks an immutable fleet
	Fix        string // what to do

	find finder
}

// Parts of the catalogue in their order, by the letter that ids begin with.
const partOrder = "TWCDRXN"

// Catalogue lists all rules, by part and number.
func Catalogue() []Rule {
	all := slices.Concat(
		siteRules(), entryRules(), exclusionRules(), secretRules(), scriptRules(), uploadRules(), checksumRules(), buildRules(),
		syntaxRules(), machineRules(), writeRules(), runtimeRules(),
		credentialRules(), addressRules(), switchRules(), cacheRules(), sessionRules(),
		dropInRules(), serverRules(), requirementRules(),
		changeRules(), databaseChangeRules(), opcacheRules(), fpmRules(), nginxRules(), bootRules(),
	)
	slices.SortFunc(all, func(a, b Rule) int {
		return cmp.Or(
			cmp.Compare(strings.IndexByte(partOrder, a.ID[0]), strings.IndexByte(partOrder, b.ID[0])),
			cmp.Compare(a.ID, b.ID))
	})
	return all
}

// Short forms of the lists in the catalogue.
func blocks() []Severity        { return []Severity{Block} }
func warns() []Severity         { return []Severity{Warn} }
func infos() []Severity         { return []Severity{Info} }
func fixes() []Severity         { return []Severity{Fix} }
func blocksOrWarns() []Severity { return []Severity{Block, Warn} }
