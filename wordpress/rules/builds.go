package rules

import (
	"encoding/json"
	"io/fs"
	"iter"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/wpbake/wpbake/wordpress"
	"github.com/wpbake/wpbake/wordpress/internal/printable"
	"github.com/wpbake/wpbake/wordpress/scan"
)

func buildRules() []Rule {
	return []Rule{
		{
			ID: "T14", Title: "A build step was not run", Severities: blocks(), Phase: InTree,
			Why:  "The site has no CSS, or ends on its first request.",
			Fix:  "Run the build (composer install, npm run build, git submodule update, git lfs pull) before this command.",
			find: all(onTree(lfsPointers), onTree(missingPackages), onTree(submodules), onTree(missingAssets), onSite(missingManifests)),
		},
	}
}

// lfsPointers finds files that Git LFS was to bring.
func lfsPointers(tree *scan.Tree) (h hits) {
	for i := range tree.Files {
		f := &tree.Files[i]
		for _, m := range f.Matches {
			if m.Signature == scan.LFSPointer {
				h.block(at(f.Path), "is a pointer of Git LFS, not the file")
			}
		}
	}
	return h
}

// ownFiles yields the regular files of a name that no package manager brought.
func ownFiles(tree *scan.Tree, names ...string) iter.Seq[*scan.File] {
	return func(yield func(*scan.File) bool) {
		for i := range tree.Files {
			if f := &tree.Files[i]; f.Regular() && oneOf(f.Base(), names...) && !inVendor(f.Path) && !yield(f) {
				return
			}
		}
	}
}

const maxJSON = 1 << 20

// missingPackages finds Composer's packages that are required and not
// installed, where code loads them.
func missingPackages(tree *scan.Tree) (h hits) {
	for f := range ownFiles(tree, "composer.json") {
		needs, vendor := requiredPackage(tree, f.Path)
		if needs == "" || tree.Has(path.Join(vendor, "autoload.php")) {
			continue
		}
		below := tree.Below(path.Dir(f.Path))
		for i := range below {
			g := &below[i]
			if m, ok := g.First(scan.RequiresAutoload); ok && !inVendor(g.Path) {
				h.block(at(f.Path), "requires %s, which is not installed, and %s:%d loads vendor/autoload.php", printable.Clean(needs), g.Path, m.Line)
				break
			}
		}
	}
	return h
}

// requiredPackage returns the first package that a composer.json requires, and
// the directory that it is installed into.
func requiredPackage(tree *scan.Tree, name string) (needs, vendor string) {
	var doc struct {
		Require map[string]json.RawMessage `json:"require"`
		Config  struct {
			Vendor string `json:"vendor-dir"`
		} `json:"config"`
	}
	src, err := tree.ReadFile(name, maxJSON)
	if err != nil || json.Unmarshal(src, &doc) != nil {
		return "", ""
	}
	for _, p := range slices.Sorted(maps.Keys(doc.Require)) {
		if strings.Contains(p, "/") && !strings.HasPrefix(p, "composer/installers") {
			needs = p
			break
		}
	}
	vendor = "vendor"
	if doc.Config.Vendor != "" && !strings.ContainsAny(doc.Config.Vendor, "$\\") {
		vendor = doc.Config.Vendor
	}
	return needs, path.Join(path.Dir(name), vendor)
}

var submodulePath = regexp.MustCompile(`(?m)^\s*path\s*=\s*(\S.*?)\s*$`)

// submodules finds submodules that were not checked out.
func submodules(tree *scan.Tree) (h hits) {
	for f := range ownFiles(tree, ".gitmodules") {
		src, err := tree.ReadFile(f.Path, maxJSON)
		if err != nil {
			continue
		}
		for _, m := range submodulePath.FindAllSubmatch(src, -1) {
			dir := path.Join(path.Dir(f.Path), string(m[1]))
			if fs.ValidPath(dir) && len(tree.Below(dir)) == 0 {
				h.block(at(dir), "is a git submodule that was not checked out")
			}
		}
	}
	return h
}

// missingAssets finds assets that a theme's manifest names and that are not
// there. Only flat maps of file names are such manifests.
func missingAssets(tree *scan.Tree) (h hits) {
	for f := range ownFiles(tree, "mix-manifest.json", "manifest.json") {
		sub, ok := contentOf(f.Path)
		if !ok || !strings.HasPrefix(sub, "themes/") {
			continue
		}
		var entries map[string]string
		src, err := tree.ReadFile(f.Path, maxJSON)
		if err != nil || json.Unmarshal(src, &entries) != nil {
			continue
		}
		for _, key := range slices.Sorted(maps.Keys(entries)) {
			target, _, _ := strings.Cut(entries[key], "?")
			target = strings.TrimLeft(target, "/")
			if !oneOf(path.Ext(target), ".js", ".css") || strings.Contains(target, "://") {
				continue
			}
			dir := path.Dir(f.Path)
			if !tree.Has(path.Join(dir, target)) && !tree.Has(path.Join(dir, path.Base(target))) {
				h.block(at(f.Path), "names %s, which is not there", printable.Clean(target))
				break
			}
		}
	}
	return h
}

// missingManifests finds themes that read a manifest which is not there.
func missingManifests(tree *scan.Tree, site *wordpress.Site) (h hits) {
	for _, x := range site.Themes {
		var reads *scan.File
		var where scan.Match
		have := false
		files := tree.Below(x.Dir)
		for i := range files {
			f := &files[i]
			have = have || oneOf(f.Base(), "mix-manifest.json", "manifest.json")
			if m, ok := f.First(scan.ReadsManifest); ok && reads == nil && !inVendor(f.Path) {
				reads, where = f, m
			}
		}
		if reads != nil && !have && isUnguarded(tree, reads) {
			h.block(atMatch(reads, where), "reads a manifest of assets, which is not there")
		}
	}
	return h
}

// isUnguarded reports whether a file reads its manifest without asking first
// whether it is there.
func isUnguarded(tree *scan.Tree, f *scan.File) bool {
	src, err := tree.ReadFile(f.Path, scan.MaxPHP)
	if err != nil {
		return false
	}
	return !strings.Contains(string(src), "file_exists") && !strings.Contains(string(src), "is_readable")
}
