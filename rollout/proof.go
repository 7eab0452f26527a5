package rollout

import (
	"fmt"
	"slices"

	"github.com/wpbake/wpbake/node"
	"github.com/wpbake/wpbake/rollout/userdata"
)

// unproven lists what is missing for the fleet to be proven on the given
// template versions: the group's saved versions are these, every node was
// launched from them, and every node in service reported the digest that its
// template version pins. A node on its way out or in standby does not count.
func unproven(s State, templates []TemplateRef) []string {
	var missing []string
	if !sameTemplates(s.Group.Templates, templates) {
		missing = append(missing, fmt.Sprintf("the group's saved version is %s, not %s", describeTemplates(s.Group.Templates), describeTemplates(templates)))
	}
	inService := 0
	for _, n := range s.Group.Nodes {
		if leaving(n) || standby(n) {
			continue
		}
		if n.Lifecycle == "InService" {
			inService++
		}
		if why := nodeUnproven(s, n, templates); why != "" {
			missing = append(missing, why)
		}
	}
	if inService == 0 {
		missing = append(missing, "no node is in service")
	}
	return missing
}

func nodeUnproven(s State, n Node, templates []TemplateRef) string {
	if !slices.ContainsFunc(templates, n.Template.same) {
		return fmt.Sprintf("node %s (%s) runs template version %s", n.ID, n.Lifecycle, n.Template.Version)
	}
	if n.Lifecycle != "InService" {
		return "" // it is on the right version, and is proven by its own hook before it serves
	}
	pin, ok := s.pin(n.Template)
	if !ok {
		return "" // what ran before wpbake: the template version is all there is to prove
	}
	r, ok := s.Reports[n.ID]
	switch {
	case !ok:
		return fmt.Sprintf("node %s has written no boot report", n.ID)
	case r.Verdict != node.Good:
		return fmt.Sprintf("node %s reported %s at %s: %s", n.ID, r.Verdict, r.Stage, r.Cause)
	case r.Manifest != pin.Manifest:
		return fmt.Sprintf("node %s reported %s, its template pins %s", n.ID, r.Manifest.Short(), pin.Manifest.Short())
	}
	return ""
}

// unpinned lists the run's template versions that are not seen to pin its
// release: their nodes' reports would prove something else, or nothing.
func unpinned(s State) []string {
	var missing []string
	for _, t := range s.Templates {
		if p, ok := s.pin(t); !ok || p.Manifest != s.Record.Manifest {
			missing = append(missing, fmt.Sprintf("version %s of launch template %s does not pin %s", t.Version, t.ID, s.Record.Manifest.Short()))
		}
	}
	return missing
}

// pin finds what a template version pins, by id or name.
func (s State) pin(t TemplateRef) (userdata.Boot, bool) {
	for ref, p := range s.Pins {
		if ref.same(t) {
			return p, true
		}
	}
	return userdata.Boot{}, false
}

// basePin finds what ran when the run began, when that was a release.
func (s State) basePin() (userdata.Boot, bool) {
	if len(s.Record.Base) == 0 {
		return userdata.Boot{}, false
	}
	return s.pin(s.Record.Base[0])
}

// provenNodes counts the nodes in service.
func provenNodes(g Group) int {
	count := 0
	for _, n := range g.Nodes {
		if n.Lifecycle == "InService" {
			count++
		}
	}
	return count
}

// standby reports whether a person took a node out of service without
// removing it: a refresh leaves it alone.
func standby(n Node) bool { return n.Lifecycle == "Standby" || n.Lifecycle == "EnteringStandby" }

// leaving reports whether a node is on its way out of the group.
func leaving(n Node) bool {
	switch n.Lifecycle {
	case "Terminating", "Terminating:Wait", "Terminating:Proceed", "Terminating:Retained", "Terminated", "Detaching", "Detached":
		return true
	}
	return false
}
