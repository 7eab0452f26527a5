package rules

import (
	"errors"
	"io/fs"
	"path"

	"github.com/wpbake/wpbake/wordpress"
	"github.com/wpbake/wpbake/wordpress/internal/printable"
	"github.com/wpbake/wpbake/wordpress/internal/safefs"
	"github.com/wpbake/wpbake/wordpress/scan"
)

func siteRules() []Rule {
	return []Rule{
		{
			ID: "T01", Title: "Not a complete WordPress tree", Severities: blocks(), Phase: InTree,
			Why:  "A node boots into an error 500 or into the installer.",
			Fix:  "Point --tree at the directory that holds wp-includes, with a theme and a wp-config.php that reads its secrets from the environment.",
			find: func(v *view) hits { return completeness(v.site, v.siteErr, v.Above) },
		},
		{
			ID: "T17", Title: "A .maintenance file", Severities: blocks(), Phase: InTree,
			Why:  "The tree was copied during an update: it answers 503 to every request.",
			Fix:  "Delete it, once the update is complete.",
			find: onSite(maintenance),
		},
		{
			ID: "T18", Title: "Asset versions from file times", Severities: infos(), Phase: InTree,
			Why:  "The address of an asset follows its file's time. Artifacts give each file a time that follows from its content, so it is the same on every node.",
			Fix:  "Nothing.",
			find: onSite(fileTimes),
		},
		{
			ID: "T19", Title: "A large tree", Severities: warns(), Phase: InTree,
			Why:  "Every new node fetches all of it before it serves.",
			Fix:  "Move media to S3; leave the rest out with exclude.",
			find: onTree(size),
		},
		{
			ID: "T21", Title: "Encoded PHP", Severities: warns(), Phase: InTree,
			Why:  "It needs a loader extension, without which it ends every request.",
			Fix:  "Install the loader in the image of the nodes.",
			find: onTree(encoded),
		},
	}
}

// completeness is T01: what WordPress does not run without.
func completeness(site *wordpress.Site, err error, above fs.FS) (h hits) {
	var not *wordpress.NotWordPress
	switch {
	case errors.As(err, &not):
		h.block(at("."), "%s", not.Error())
		return h
	case err != nil:
		h.block(at("."), "it cannot be read as WordPress: %s", printable.Clean(err.Error()))
		return h
	}
	if len(site.Themes) == 0 {
		h.block(at(path.Join(site.Content, "themes")), "there is no theme")
	}
	if site.Config != nil {
		return h
	}
	p := at(path.Join(site.Core, "wp-config.php"))
	if above != nil && site.Core == "." && safefs.IsFile(above, "wp-config.php") && !safefs.IsFile(above, "wp-settings.php") {
		h.block(p, "wp-config.php is in the directory above the tree: nodes will not have it")
		return h
	}
	h.block(p, "there is no wp-config.php: nodes show the installer")
	return h
}

// maintenance is T17.
func maintenance(tree *scan.Tree, site *wordpress.Site) (h hits) {
	if p := path.Join(site.Core, ".maintenance"); tree.Has(p) {
		h.block(at(p), "makes every request answer 503")
	}
	return h
}

// fileTimes is T18.
func fileTimes(tree *scan.Tree, site *wordpress.Site) (h hits) {
	n, first := 0, place{}
	for _, dir := range []string{"plugins", "themes"} {
		for _, f := range tree.Below(path.Join(site.Content, dir)) {
			for _, m := range f.Matches {
				if m.Signature != scan.FileTime {
					continue
				}
				if n++; n == 1 {
					first = atMatch(&f, m)
				}
			}
		}
	}
	if n > 0 {
		h.info(first, "%d file(s) of plugins and themes ask for file times", n)
	}
	return h
}

const largeTree = 500 << 20

// size is T19.
func size(tree *scan.Tree) (h hits) {
	if tree.Bytes <= largeTree {
		return nil
	}
	largest := &tree.Files[0]
	for i := range tree.Files {
		if f := &tree.Files[i]; f.Regular() && f.Info.Size() > largest.Info.Size() {
			largest = f
		}
	}
	h.warn(at(largest.Path), "the tree has %d MiB in %d files; this is the largest, with %d MiB",
		tree.Bytes>>20, tree.Regular, largest.Info.Size()>>20)
	return h
}

// encoded is T21.
func encoded(tree *scan.Tree) (h hits) {
	for i := range tree.Files {
		f := &tree.Files[i]
		for _, m := range f.Matches {
			if m.Signature == scan.EncodedForLoader {
				h.warn(atMatch(f, m), "is encoded for a loader extension")
			}
		}
	}
	return h
}
