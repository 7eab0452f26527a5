package database

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/wpbake/wpbake/artifact"
	"github.com/wpbake/wpbake/wordpress"
	"github.com/wpbake/wpbake/wordpress/php"
)

// Incompatibility is a change of the database that code alone cannot take back, or a
// state of it that the code to come does not fit.
type Incompatibility struct {
	ID     string `json:"id"`   // of the rule in docs/database.md, such as S02
	Name   string `json:"name"` // one word: passwords, schema, woocommerce, orders, plugin, theme, keys
	Blocks bool   `json:"blocks"`
	Count  int64  `json:"count,omitempty"` // of users, where it is about users
	Text   string `json:"text"`
	Fix    string `json:"fix,omitempty"`
}

// Move is a change of the code that a fleet runs.
type Move struct {
	From     *artifact.WordPress // what runs now; nil when that is not known
	To       *artifact.WordPress // what is to run; nil when nobody looked, then there is nothing to say
	Previous *State              // as it was when To was proven last; nil when it never was
	Now      *State              // nil when the database could not be asked
	Back     bool                // a rollback: plugins that came since are no mistake
}

// The first WordPress that writes password hashes of its own form, and verifies
// them. Older code rejects the right password then.
const newHashes = "6.8"

// Incompatibilities lists what stands between the database and the code to come, those
// that block first. Without Now it goes by the two trees: what may have been
// passed and cannot be counted blocks.
func Incompatibilities(m Move) []Incompatibility {
	if m.To == nil {
		return nil
	}
	var found []Incompatibility
	for _, find := range []func(Move) []Incompatibility{incompatiblePasswords, incompatibleSchema, incompatibleWooCommerce, incompatiblePlugins, incompatibleTheme, incompatibleKeys} {
		found = append(found, find(m)...)
	}
	slices.SortStableFunc(found, func(a, b Incompatibility) int {
		switch {
		case a.Blocks == b.Blocks:
			return 0
		case a.Blocks:
			return -1
		}
		return 1
	})
	return found
}

func incompatiblePasswords(m Move) []Incompatibility {
	if !php.Older(m.To.Core, newHashes) || m.From != nil && php.Older(m.From.Core, newHashes) {
		return nil
	}
	d := Incompatibility{ID: "X03", Name: "passwords", Blocks: true,
		Fix: "these users ask for a new password once the older WordPress runs; a release of 6.8 or later takes both kinds"}
	if m.Now == nil {
		if m.From == nil {
			return nil
		}
		d.Text = fmt.Sprintf("how many users have logged in since WordPress %s could not be counted: WordPress %s rejects the password of each", m.From.Core, m.To.Core)
		return []Incompatibility{d}
	}
	if m.Now.NewHashes == 0 {
		return nil
	}
	d.Count = m.Now.NewHashes
	d.Text = fmt.Sprintf("the password hash of %s changed to the form of WordPress 6.8: WordPress %s rejects it", ofUsers(m.Now.NewHashes, m.Now.Users), m.To.Core)
	return []Incompatibility{d}
}

func ofUsers(n, all int64) string {
	if all == 1 {
		return "1 user of 1"
	}
	return fmt.Sprintf("%d of %d users", n, all)
}

func incompatibleSchema(m Move) []Incompatibility {
	have := 0
	switch {
	case m.Now != nil:
		have = m.Now.Schema
	case m.From != nil:
		have = m.From.DBVersion
	}
	if have <= m.To.DBVersion {
		return nil
	}
	text := fmt.Sprintf("the database has schema %d, WordPress %s is for %d: visitors see no difference, the administration asks for an upgrade that would write the old number back", have, m.To.Core, m.To.DBVersion)
	if m.Now == nil {
		text = fmt.Sprintf("the database could not be asked and may have schema %d, WordPress %s is for %d", have, m.To.Core, m.To.DBVersion)
	}
	return []Incompatibility{{ID: "S02", Name: "schema", Blocks: true, Text: text,
		Fix: "keep upgrade.php denied (docs/database.md), and release a WordPress of the newer schema soon"}}
}

// Since this version WooCommerce can keep orders in tables of their own.
const wooOrderTables = "7.1"

func incompatibleWooCommerce(m Move) []Incompatibility {
	to := versionOf(m.To.Plugins, "woocommerce")
	if m.Now == nil {
		if m.From == nil || !php.Older(to, versionOf(m.From.Plugins, "woocommerce")) {
			return nil
		}
		return []Incompatibility{{ID: "X03", Name: "woocommerce", Blocks: true, Fix: "release the newer WooCommerce again",
			Text: fmt.Sprintf("the database could not be asked; WooCommerce %s has run on it, %s would come", versionOf(m.From.Plugins, "woocommerce"), orNone(to))}}
	}
	var found []Incompatibility
	have := m.Now.Versions[wooSchema]
	if v := m.Now.Versions[wooVersion]; php.Older(have, v) {
		have = v
	}
	if to != "" && php.Older(to, have) {
		found = append(found, Incompatibility{ID: "X03", Name: "woocommerce", Blocks: true, Fix: "release the newer WooCommerce again",
			Text: fmt.Sprintf("WooCommerce has brought the database to %s and never takes it back: %s would run on it", have, to)})
	}
	if to != "" && m.Now.Versions[wooOrders] == "yes" && php.Older(to, wooOrderTables) {
		found = append(found, Incompatibility{ID: "X03", Name: "orders", Blocks: true, Fix: "release a WooCommerce of " + wooOrderTables + " or later",
			Text: fmt.Sprintf("orders are in tables of their own, which WooCommerce %s does not see", to)})
	}
	return found
}

func orNone(v string) string { return cmp.Or(v, "none") }

// incompatiblePlugins are about activation, which is a state of the database that all
// nodes share: an administrator who looks at the plugins on a node without the
// files of one that is active switches it off for the whole fleet.
func incompatiblePlugins(m Move) []Incompatibility {
	var found []Incompatibility
	if m.From != nil {
		for _, p := range m.From.Plugins {
			if hasComponent(m.To.Plugins, p.Slug) {
				continue
			}
			if m.Now.active(p.Slug) {
				found = append(found, Incompatibility{ID: "X04", Name: "plugin", Blocks: !m.Back,
					Text: fmt.Sprintf("plugin %s is active in the database and not in the tree: a visit to the plugins page switches it off for every node", p.Slug),
					Fix:  "deactivate it first, and remove it with a later release"})
			}
		}
		for _, p := range m.To.Plugins {
			if v := versionOf(m.From.Plugins, p.Slug); php.Older(p.Version, v) && p.Slug != "woocommerce" {
				found = append(found, Incompatibility{ID: "X07", Name: "plugin",
					Text: fmt.Sprintf("plugin %s goes back from %s to %s: what it keeps in the database may be newer", p.Slug, v, p.Version)})
			}
		}
	}
	if m.Previous == nil || m.Now == nil {
		return found
	}
	for _, file := range m.Previous.Active {
		if slug := PluginSlug(file); hasComponent(m.To.Plugins, slug) && !m.Now.active(slug) {
			found = append(found, Incompatibility{ID: "X04", Name: "plugin",
				Text: fmt.Sprintf("plugin %s was active when this release ran and is not any more", slug),
				Fix:  "activate it again if it should run"})
		}
	}
	return found
}

// incompatibleTheme is about a theme that the database names and the tree lacks:
// WordPress then answers every page with status 200 and nothing in it.
func incompatibleTheme(m Move) []Incompatibility {
	if m.Now == nil {
		return nil
	}
	var found []Incompatibility
	for _, dir := range slices.Compact([]string{m.Now.Stylesheet, m.Now.Template}) {
		if dir != "" && !hasComponent(m.To.Themes, dir) {
			found = append(found, Incompatibility{ID: "X05", Name: "theme", Blocks: true,
				Text: fmt.Sprintf("theme %s is active in the database and not in the tree: every page would be empty", dir),
				Fix:  "switch to a theme that the tree has, then the same command again"})
		}
	}
	return found
}

func incompatibleKeys(m Move) []Incompatibility {
	if m.Previous == nil || m.Now == nil || !m.Previous.KeysInTree && !m.Now.KeysInTree || m.Previous.Keys == m.Now.Keys {
		return nil
	}
	return []Incompatibility{{ID: "X09", Name: "keys",
		Text: "keys and salts are in the tree and differ: everybody is logged out",
		Fix:  "take them from the environment, the same for all releases"}}
}

// Blocking are the incompatibilities that ask for a person's word.
func Blocking(list []Incompatibility) []Incompatibility {
	return slices.DeleteFunc(slices.Clone(list), func(d Incompatibility) bool { return !d.Blocks })
}

func hasComponent(list []artifact.Component, slug string) bool {
	_, ok := wordpress.VersionOf(list, slug)
	return ok
}

func versionOf(list []artifact.Component, slug string) string {
	version, _ := wordpress.VersionOf(list, slug)
	return version
}
