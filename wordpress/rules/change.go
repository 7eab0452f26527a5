package rules

import (
	"crypto/sha256"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/wpbake/wpbake/wordpress"
	"github.com/wpbake/wpbake/wordpress/internal/printable"
	"github.com/wpbake/wpbake/wordpress/internal/safefs"
	"github.com/wpbake/wpbake/wordpress/php"
	"github.com/wpbake/wpbake/wordpress/wpconfig"
)

func changeRules() []Rule {
	return []Rule{
		{
			ID: "C15", Title: "Names of cookies", Severities: warns(), Phase: InChange,
			Why:  "Changed cookie constants log everybody out.",
			Fix:  "Leave COOKIE_DOMAIN, COOKIEHASH and the cookie paths as they are.",
			find: onConfigChange(cookies),
		},
		{
			ID: "X01", Title: "Another version of WordPress", Severities: infos(), Phase: InChange,
			Why:  "While old and new nodes are mixed, each rewrites what the other cached in the database.",
			Fix:  "Nothing: keep the rollout short.",
			find: all(incomparable, onChange(coreVersion)),
		},
		{
			ID: "X06", Title: "A plugin that is new", Severities: infos(), Phase: InChange,
			Why:  "Activation is in the database, which old nodes share.",
			Fix:  "Activate it once the rollout is complete.",
			find: onChange(newPlugins),
		},
		{
			ID: "X07", Title: "An older version of a plugin", Severities: warns(), Phase: InChange,
			Why:  "Its tables and options may be newer than its code.",
			Fix:  "Read the plugin's notes before this release.",
			find: onChange(olderPlugins),
		},
		{
			ID: "X08", Title: "Assets that are gone", Severities: warns(), Phase: InChange,
			Why:  "Pages of the old release ask new nodes for them while the fleet is mixed, and caches keep the 404.",
			Fix:  "Release with --carry-assets current, which keeps them for one release, or publish assets to a CDN first.",
			find: assets,
		},
		{
			ID: "X09", Title: "Constants that nodes must agree on", Severities: warns(), Phase: InChange,
			Why:  "Old and new nodes read other cookies, caches or directories.",
			Fix:  "Leave them as they are, or change them while nothing is mixed.",
			find: onConfigChange(agreedConstants),
		},
		{
			ID: "X10", Title: "Drop-ins that changed", Severities: infos(), Phase: InChange,
			Why:  "They have no version, and change everything.",
			Fix:  "Nothing: know that they changed.",
			find: changedDropIns,
		},
	}
}

// coreVersion is X01.
func coreVersion(was, is *wordpress.Site) (h hits) {
	if was.WordPress.Core != is.WordPress.Core {
		h.info(at(path.Join(is.Core, wordpress.VersionFile)), "WordPress %s becomes %s", was.WordPress.Core, is.WordPress.Core)
	}
	return h
}

// incomparable is X01 where the tree in service is not WordPress.
func incomparable(v *view) (h hits) {
	if v.inService != nil && v.inService.err != nil {
		h.warn(at("."), "the tree in service cannot be compared: %s", printable.Clean(v.inService.err.Error()))
	}
	return h
}

// newPlugins is X06.
func newPlugins(was, is *wordpress.Site) (h hits) {
	for _, x := range is.Plugins {
		if !hasSlug(was.Plugins, x.Slug) {
			h.info(at(x.File), "%s is new: activate it once the rollout is complete", printable.Clean(x.Slug))
		}
	}
	return h
}

// same returns the plugin of a site that WordPress takes for x.
func same(site *wordpress.Site, x wordpress.Extension) (wordpress.Extension, bool) {
	i := slices.IndexFunc(site.Plugins, func(y wordpress.Extension) bool { return y.Basename() == x.Basename() })
	if i < 0 {
		return wordpress.Extension{}, false
	}
	return site.Plugins[i], true
}

// olderPlugins is X07.
func olderPlugins(was, is *wordpress.Site) (h hits) {
	for _, x := range was.Plugins {
		if now, ok := same(is, x); ok && php.CompareNumbers(now.Version, x.Version) < 0 {
			h.warn(at(now.File), "%s %s becomes %s", printable.Clean(x.Slug), x.Version, now.Version)
		}
	}
	return h
}

// assets is X08, for what themes and plugins had.
func assets(v *view) (h hits) {
	if v.inService == nil || v.inService.site == nil {
		return nil
	}
	var gone []string
	excluded := newExclusions()
	fs.WalkDir(v.inService.fsys, ".", func(p string, d fs.DirEntry, err error) error {
		if err != nil || p == "." {
			return nil
		}
		if _, out := excluded.of(p); out || v.Exclude != nil && v.Exclude(p) {
			if d.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		sub, ok := contentOf(p)
		kind, _, _ := strings.Cut(sub, "/")
		if d.Type().IsRegular() && wordpress.IsAsset(p) && !v.tree.Has(p) && ok && oneOf(kind, "themes", "plugins", "mu-plugins") && inAny(v.site, p) {
			gone = append(gone, p)
		}
		return nil
	})
	if len(gone) > 0 {
		h.warn(at(gone[0]), "is gone, and pages of the tree in service name it%s", andMore(len(gone)-1))
	}
	return h
}

// inAny reports whether the plugin or theme of a path is in the tree: of one
// that is gone no page is left.
func inAny(site *wordpress.Site, p string) bool {
	return slices.ContainsFunc(slices.Concat(site.Plugins, site.Themes), func(x wordpress.Extension) bool {
		return x.Dir != "" && strings.HasPrefix(p, x.Dir+"/")
	})
}

// cookies is C15.
func cookies(was, is *wpconfig.Config) hits {
	return changedConstants(was, is, "COOKIE_DOMAIN", "COOKIEHASH", "SITECOOKIEPATH", "COOKIEPATH", "ADMIN_COOKIE_PATH", "USER_COOKIE", "AUTH_COOKIE", "LOGGED_IN_COOKIE")
}

// agreedConstants is X09.
func agreedConstants(was, is *wpconfig.Config) hits {
	return changedConstants(was, is, append(wpconfig.KeyNames(), "WP_CACHE_KEY_SALT", "WP_REDIS_PREFIX", "WP_CONTENT_DIR", "WP_CONTENT_URL", "UPLOADS")...)
}

// changedConstants warns of constants whose known value, or absence, changed.
// Values may be secrets and are not repeated.
func changedConstants(was, is *wpconfig.Config, names ...string) (h hits) {
	for _, name := range names {
		old, had := was.Get(name)
		now, has := is.Get(name)
		switch {
		case had && has && (old.Value.Kind == php.Unknown || now.Value.Kind == php.Unknown || old.Value == now.Value):
		case had && has:
			h.warn(atConstant(now), "%s has another value", name)
		case has && now.Value.Kind != php.Unknown:
			h.warn(atConstant(now), "%s is new", name)
		case had && old.Value.Kind != php.Unknown:
			h.warn(at(is.Path), "%s is gone", name)
		}
	}
	return h
}

// changedDropIns is X10.
func changedDropIns(v *view) (h hits) {
	if v.inService == nil || v.inService.site == nil {
		return nil
	}
	was, is := v.inService.site, v.site
	for _, p := range is.DropIns {
		old := path.Join(was.Content, path.Base(p))
		switch {
		case !slices.Contains(was.DropIns, old):
			h.info(at(p), "is new")
		case sumOf(v.inService.fsys, old) != sumOf(v.tree.FS, p):
			h.info(at(p), "changed")
		}
	}
	for _, p := range was.DropIns {
		if now := path.Join(is.Content, path.Base(p)); !slices.Contains(is.DropIns, now) {
			h.info(at(now), "is gone")
		}
	}
	return h
}

func sumOf(fsys fs.FS, p string) string {
	src, err := safefs.ReadFile(fsys, p, maxReplaced)
	if err != nil {
		return err.Error()
	}
	return fmt.Sprintf("%x", sha256.Sum256(src))
}
