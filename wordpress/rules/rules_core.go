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
)

const maxChecksumList = 16 << 20

// judgeCore is T12, with a list of checksums: core.json as api.wordpress.org
// gives it, or core.md5sums as md5sum writes it.
func judgeCore(c *checker) {
	if c.Checksums == nil || c.site == nil {
		return
	}
	want, err := c.coreChecksums()
	if err != nil {
		c.warn("T12", at(path.Join(c.site.Core, wordpress.VersionFile)), "the list of checksums cannot be read: %s", printable.Clean(err.Error()))
		return
	}
	if want == nil {
		return
	}
	for name, sums := range want {
		p := path.Join(c.site.Core, name)
		switch {
		case strings.HasPrefix(name, "wp-content/") || !fs.ValidPath(name):
		case !c.has(p):
			c.warn("T12", at(p), "is missing")
		case !c.sumIn(p, sums):
			c.warn("T12", at(p), "is not what WordPress %s has", c.site.WordPress.Core)
		}
	}
	for i := range c.files {
		f := &c.files[i]
		name := strings.TrimPrefix(f.path, c.site.Core+"/")
		if _, known := want[name]; !known && f.regular() && c.ofCore(f.path) {
			c.warn("T12", at(f.path), "is no file of WordPress %s", c.site.WordPress.Core)
		}
	}
}

// coreChecksums returns the accepted checksums of each file, or nil when there
// is no list.
func (c *checker) coreChecksums() (map[string][]string, error) {
	if src, err := safefs.ReadFile(c.Checksums, "core.md5sums", maxChecksumList); err == nil {
		return parseMD5Sums(src), nil
	}
	src, err := safefs.ReadFile(c.Checksums, "core.json", maxChecksumList)
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
		flat = byVersion[c.site.WordPress.Core]
	}
	if len(flat) == 0 {
		return nil, fmt.Errorf("core.json has no checksums of WordPress %s", c.site.WordPress.Core)
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

// sumIn reports whether a file has one of the checksums, MD5 or SHA-256 by
// their length.
func (c *checker) sumIn(p string, sums []string) bool {
	src, err := c.read(p, maxReplaced)
	if err != nil {
		return false
	}
	sum := md5.Sum(src)
	return slices.Contains(sums, hex.EncodeToString(sum[:]))
}

// judgePlugins is T13, with plugins/SLUG.json as downloads.wordpress.org has
// them for each plugin and version.
func judgePlugins(c *checker) {
	if c.Checksums == nil || c.site == nil {
		return
	}
	for _, x := range c.site.Plugins {
		if x.Dir == "" {
			continue
		}
		want, err := c.pluginChecksums(x)
		if err != nil {
			c.warn("T13", at(x.File), "the list of checksums cannot be read: %s", printable.Clean(err.Error()))
		}
		for name, sums := range want {
			p := path.Join(x.Dir, name)
			if !c.has(p) {
				c.warn("T13", at(p), "is missing")
			} else if !c.sumIn(p, sums) {
				c.warn("T13", at(p), "is not what %s %s has", x.Slug, x.Version)
			}
		}
	}
}

func (c *checker) pluginChecksums(x wordpress.Extension) (map[string][]string, error) {
	src, err := safefs.ReadFile(c.Checksums, "plugins/"+x.Slug+".json", maxChecksumList)
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
