package database_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/wpbake/wpbake/artifact"
	"github.com/wpbake/wpbake/wordpress/database"
)

func wp(core string, schema int, plugins ...string) *artifact.WordPress {
	w := &artifact.WordPress{Core: core, DBVersion: schema, Themes: []artifact.Component{{Slug: "shop"}}}
	for _, p := range plugins {
		slug, version, _ := strings.Cut(p, "@")
		w.Plugins = append(w.Plugins, artifact.Component{Slug: slug, Version: version})
	}
	return w
}

func TestIncompatibilities(t *testing.T) {
	old, now := wp("6.1.9", 53496, "cart@2.1"), wp("6.8.12", 60421, "cart@2.1")
	ask := func(change func(*database.State)) *database.State {
		d := &database.State{Schema: 60421, Users: 12, Stylesheet: "shop", Template: "shop", Active: []string{"cart/cart.php"}}
		change(d)
		return d
	}
	same := ask(func(*database.State) {})
	for _, tt := range []struct {
		name string
		move database.Move
		want string // of each incompatibility: id, name, count, ! when it blocks
	}{
		{"nothing changed", database.Move{From: now, To: now, Now: same}, ""},
		{"nobody looked at the tree", database.Move{From: now, Now: same}, ""},
		{"forwards over the core's change of hashes", database.Move{From: old, To: now, Now: ask(func(d *database.State) { d.Schema = 53496 })}, ""},
		{"back before anybody logged in", database.Move{From: now, To: old, Back: true, Now: ask(func(d *database.State) { d.Schema = 53496 })}, ""},
		{"back, 3 have logged in", database.Move{From: now, To: old, Back: true, Now: ask(func(d *database.State) { d.Schema, d.NewHashes = 53496, 3 })}, "X03 passwords 3!"},
		{"back over both", database.Move{From: now, To: old, Back: true, Now: ask(func(d *database.State) { d.NewHashes = 3 })}, "X03 passwords 3!, S02 schema 0!"},
		{"back, from what nobody knows", database.Move{To: old, Back: true, Now: ask(func(d *database.State) { d.NewHashes = 3 })}, "X03 passwords 3!, S02 schema 0!"},
		{"back without asking", database.Move{From: now, To: old, Back: true}, "X03 passwords 0!, S02 schema 0!"},
		{"back between two old ones", database.Move{From: wp("6.7", 53496, "cart@2.1"), To: old, Back: true, Now: ask(func(d *database.State) { d.Schema, d.NewHashes = 53496, 3 })}, ""},
		{"a beta of 6.8 has the change behind it", database.Move{From: now, To: wp("6.8-beta1", 60421, "cart@2.1"), Now: ask(func(d *database.State) { d.NewHashes = 1 })}, "X03 passwords 1!"},
		{"WooCommerce goes back", database.Move{From: wp("6.8.12", 60421, "woocommerce@9.9.0"), To: wp("6.8.12", 60421, "woocommerce@9.10.0"), Now: ask(func(d *database.State) {
			d.Active, d.Versions = nil, map[string]string{"woocommerce_db_version": "10.0.1", "woocommerce_version": "10.0.2"}
		})}, "X03 woocommerce 0!"},
		{"WooCommerce stays", database.Move{From: wp("6.8.12", 60421, "woocommerce@9.9.0"), To: wp("6.8.12", 60421, "woocommerce@9.10.0"), Now: ask(func(d *database.State) {
			d.Active, d.Versions = nil, map[string]string{"woocommerce_db_version": "9.9.0", "woocommerce_version": "9.10"}
		})}, ""},
		{"orders out of sight", database.Move{To: wp("6.8.12", 60421, "woocommerce@6.9.4"), Now: ask(func(d *database.State) {
			d.Active, d.Versions = nil, map[string]string{"woocommerce_custom_orders_table_enabled": "yes"}
		})}, "X03 orders 0!"},
		{"an active plugin is removed", database.Move{From: now, To: wp("6.8.12", 60421), Now: same}, "X04 plugin 0!"},
		{"back to before a plugin came", database.Move{From: now, To: wp("6.8.12", 60421), Now: same, Back: true}, "X04 plugin 0"},
		{"an inactive plugin is removed", database.Move{From: now, To: wp("6.8.12", 60421), Now: ask(func(d *database.State) { d.Active = nil })}, ""},
		{"a plugin that was never there is active", database.Move{From: now, To: now, Now: ask(func(d *database.State) { d.Active = []string{"cart/cart.php", "gone/gone.php"} })}, ""},
		{"a plugin was deactivated since", database.Move{From: now, To: now, Back: true, Previous: same, Now: ask(func(d *database.State) { d.Active = nil })}, "X04 plugin 0"},
		{"a plugin goes back", database.Move{From: wp("6.8.12", 60421, "cart@2.10"), To: now, Back: true, Now: same}, "X07 plugin 0"},
		{"the active theme is missing", database.Move{From: now, To: now, Now: ask(func(d *database.State) { d.Stylesheet, d.Template = "child", "parent" })}, "X05 theme 0!, X05 theme 0!"},
		{"keys in the tree differ", database.Move{From: now, To: now, Back: true, Previous: ask(func(d *database.State) { d.KeysInTree, d.Keys = true, "1" }), Now: same}, "X09 keys 0"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var got []string
			for _, d := range database.Incompatibilities(tt.move) {
				mark := ""
				if d.Blocks {
					mark = "!"
				}
				got = append(got, fmt.Sprintf("%s %s %d%s", d.ID, d.Name, d.Count, mark))
				if d.Text == "" || d.Fix == "" && d.ID != "X04" && d.ID != "X07" {
					t.Errorf("%+v says nothing", d)
				}
			}
			if s := strings.Join(got, ", "); s != tt.want {
				t.Errorf("got %s, want %s", s, tt.want)
			}
		})
	}
}
