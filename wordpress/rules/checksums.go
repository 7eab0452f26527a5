package rules

import (
	"bufio"
	"bytes"
	"crypto/md5"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/wpbake/wpbake/wordpress"
	"github.com/wpbake/wpbake/wordpress/internal/printable"
	"github.com/wpbake/wpbake/wordpress/internal/safefs"
	"github.com/wpbake/wpbake/wordpress/scan"
)

func checksumRules() []Rule {
	return []Rule{
		{
			ID: "T12", Title: "WordPress's own files changed, missing or added", Severities: blocksOrWarns(), Phase: InTree,
			Why:  "The next update loses the patch without a word; or the file is malware.",
			Fix:  "Install this version of WordPress again.",
			find: onChecksums(coreChecksums),
		},
		{
			ID: "T13", Title: "A plugin's files changed", Severities: warns(), Phase: InTree,
			Why:  "The next update loses the patch without a word; or the file is malware.",
			Fix:  "Install this version of the plugin again.",
			find: onChecksums(pluginChecksums),
		},
	}
}

const maxChecksums = 16 << 20

// coreChecksums is T12, with a list of checksums: core.json as
// api.wordpress.org gives it, or core.md5sums as md5sum writes it.
func coreChecksums(tree *scan.Tree, site *wordpress.Site, lists fs.FS) (h hits) {
	version := site.WordPress.Core
	want, err := readCoreChecksums(lists, version)
	if err != nil {
		h.warn(at(path.Join(site.Core, wordpress.VersionFile)), "the list of checksums cannot be read: %s", printable.Clean(err.Error()))
		return h
	}
	if want == nil {
		return nil
	}
	for name, sums := range want {
		p := path.Join(site.Core, name)
		switch {
		case strings.HasPrefix(name, "wp-content/") || !fs.ValidPath(name):
		case !tree.Has(p):
			h.warn(at(p), "is missing")
		case !hasSum(tree, p, sums):
			h.warn(at(p), "is not what WordPress %s has", version)
		}
	}
	for i := range tree.Files {
		f := &tree.Files[i]
		name := strings.TrimPrefix(f.Path, site.Core+"/")
		if _, known := want[name]; !known && f.Regular() && site.Owns(f.Path) {
			h.warn(at(f.Path), "is no file of WordPress %s", version)
		}
	}
	return h
}

// readCoreChecksums returns the accepted checksums of each file of a version,
// or nil when there is no list.
func readCoreChecksums(lists fs.FS, version string) (map[string][]string, error) {
	if src, err := safefs.ReadFile(lists, "core.md5sums", maxChecksums); err == nil {
		return parseMD5Sums(src), nil
	}
	src, err := safefs.ReadFile(lists, "core.json", maxChecksums)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var doc struct {
		Checksums json.RawMessage `json:"checksums"`
	}
	if err := json.Unmarshal(src, &doc); err != nil {
		return nil, err
	}
	var flat map[string]string
	if err := json.Unmarshal(doc.Checksums, &flat); err != nil {
		var byVersion map[string]map[string]string
		if err := json.Unmarshal(doc.Checksums, &byVersion); err != nil {
			return nil, err
		}
		flat = byVersion[version]
	}
	if len(flat) == 0 {
		return nil, fmt.Errorf("core.json has no checksums of WordPress %s", version)
	}
	sums := make(map[string][]string, len(flat))
	for name, sum := range flat {
		sums[name] = []string{sum}
	}
	return sums, nil
}

// parseMD5Sums reads lines of md5sum. Debian's lists name what the package
// installs below usr/share/wordpress.
func parseMD5Sums(src []byte) map[string][]string {
	sums := map[string][]string{}
	for s := bufio.NewScanner(bytes.NewReader(src)); s.Scan(); {
		sum, name, ok := strings.Cut(s.Text(), "  ")
		name = strings.TrimPrefix(strings.TrimPrefix(name, "./"), "usr/share/wordpress/")
		if ok && len(sum) == 2*md5.Size && !strings.HasPrefix(name, "usr/") && !strings.HasPrefix(name, "etc/") {
			sums[name] = append(sums[name], sum)
		}
	}
	return sums
}

// hasSum reports whether a file has one of the MD5 checksums.
func hasSum(tree *scan.Tree, p string, sums []string) bool {
	src, err := tree.ReadFile(p, maxReplaced)
	if err != nil {
		return false
	}
	sum := md5.Sum(src)
	return slices.Contains(sums, hex.EncodeToString(sum[:]))
}

// pluginChecksums is T13, with plugins/SLUG.json as downloads.wordpress.org has
// them for each plugin and version.
func pluginChecksums(tree *scan.Tree, site *wordpress.Site, lists fs.FS) (h hits) {
	for _, x := range site.Plugins {
		if x.Dir == "" {
			continue
		}
		want, err := readPluginChecksums(lists, x)
		if err != nil {
			h.warn(at(x.File), "the list of checksums cannot be read: %s", printable.Clean(err.Error()))
		}
		for name, sums := range want {
			p := path.Join(x.Dir, name)
			if !tree.Has(p) {
				h.warn(at(p), "is missing")
			} else if !hasSum(tree, p, sums) {
				h.warn(at(p), "is not what %s %s has", x.Slug, x.Version)
			}
		}
	}
	return h
}

func readPluginChecksums(lists fs.FS, x wordpress.Extension) (map[string][]string, error) {
	src, err := safefs.ReadFile(lists, "plugins/"+x.Slug+".json", maxChecksums)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrInvalid) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var doc struct {
		Version string `json:"version"`
		Files   map[string]struct {
			MD5 json.RawMessage `json:"md5"`
		} `json:"files"`
	}
	if err := json.Unmarshal(src, &doc); err != nil {
		return nil, err
	}
	if doc.Version != "" && doc.Version != x.Version {
		return nil, fmt.Errorf("it is of version %s, the tree has %s", doc.Version, x.Version)
	}
	sums := map[string][]string{}
	for name, f := range doc.Files {
		var one string
		var many []string
		if json.Unmarshal(f.MD5, &one) == nil {
			many = []string{one}
		} else if err := json.Unmarshal(f.MD5, &many); err != nil {
			return nil, err
		}
		if fs.ValidPath(name) {
			sums[name] = many
		}
	}
	return sums, nil
}
