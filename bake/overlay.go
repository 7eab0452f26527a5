package bake

import (
	"slices"

	"github.com/wpbake/wpbake/artifact"
	"github.com/wpbake/wpbake/artifact/fetch"
	"github.com/wpbake/wpbake/artifact/tree"
	"github.com/wpbake/wpbake/wordpress"
)

// overlay is what the release holds otherwise than the tree: repaired files, and
// assets of the release before, which the caller closes.
func (l *line) overlay(report Report, carried wordpress.Carried) (tree.Overlay, *fetch.Members, error) {
	var o tree.Overlay
	for path, content := range report.Repairs.Replace {
		o.Replace(path, content)
	}
	members := l.Carry.members(carried)
	return o, members, members.Over(&o)
}

// replacesLinks tells whether repairs put files into the place of links: what
// those hold comes from outside the tree, and no stamp of the tree tells when it
// changes.
func replacesLinks(scanned *tree.Listing, report Report) bool {
	return slices.ContainsFunc(scanned.Entries, func(e tree.Entry) bool {
		_, replaced := report.Repairs.Replace[e.Path]
		return replaced && e.Kind == artifact.KindLink
	})
}
