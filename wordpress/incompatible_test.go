package wordpress_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/wpbake/wpbake/artifact"
	"github.com/wpbake/wpbake/wordpress"
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
	ask := func(change func(*wordpress.Database)) *wordpress.Database {
		d := &wordpress.Database{Schema: 60421, Users: 12, Stylesheet: "shop", Template: "shop", Active: []string{"cart/cart.php"}}
		change(d)
		return d
	}
	same := ask(func(*wordpress.Database) {})
	for _, tt := range []struct {
		name string
		move wordpress.Move
		want string // of each incompatibility: id, name, count, ! when it blocks
	}{
		{"nothing changed", wordpress.Move{From: now, To: now, Now: same}, ""},
		{"nobody looked at the tree", wordpress.Move{From: now, Now: same}, ""},
		{"forwards over the core's change of hashes", wordpress.Move{From: old, To: now, Now: ask(func(d *wordpress.Database) { d.Schema = 53496 })}, ""},
		{"back before anybody logged in", wordpress.Move{From: now, To: old, Back: true, Now: ask(func(d *wordpress.Database) { d.Schema = 53496 })}, ""},
		{"back, 3 have logged in", wordpress.Move{From: now, To: old, Back: true, Now: ask(func(d *wordpress.Database) { d.Schema, d.NewHashes = 53496, 3 })}, "X03 passwords 3!"},
		{"back over both", wordpress.Move{From: now, To: old, Back: true, Now: ask(func(d *wordpress.Database) { d.NewHashes = 3 })}, "X03 passwords 3!, S02 schema 0!"},
		{"back, from what nobody knows", wordpress.Move{To: old, Back: true, Now: ask(func(d *wordpress.Database) { d.NewHashes = 3 })}, "X03 passwords 3!, S02 schema 0!"},
		{"back without asking", wordpress.Move{From: now, To: old, Back: true}, "X03 passwords 0!, S02 schema 0!"},
		{"back between two old ones", wordpress.Move{From: wp("6.7", 53496, "cart@2.1"), To: old, Back: true, Now: ask(func(d *wordpress.Database) { d.Schema, d.NewHashes = 53496, 3 })}, ""},
		{"a beta of 6.8 has the change behind it", wordpress.Move{From: now, To: wp("6.8-beta1", 60421, "cart@2.1"), Now: ask(func(d *wordpress.Database) { d.NewHashes = 1 })}, "X03 passwords 1!"},
		{"WooCommerce goes back", wordpress.Move{From: wp("6.8.12", 60421, "woocommerce@9.9.0"), To: wp("6.8.12", 60421, "woocommerce@9.10.0"), Now: ask(func(d *wordpress.Database) {
			d.Active, d.Versions = nil, map[string]string{"woocommerce_db_version": "10.0.1", "woocommerce_version": "10.0.2"}
		})}, "X03 woocommerce 0!"},
		{"WooCommerce stays", wordpress.Move{From: wp("6.8.12", 60421, "woocommerce@9.9.0"), To: wp("6.8.12", 60421, "woocommerce@9.10.0"), Now: ask(func(d *wordpress.Database) {
			d.Active, d.Versions = nil, map[string]string{"woocommerce_db_version": "9.9.0", "woocommerce_version": "9.10"}
		})}, ""},
		{"orders out of sight", wordpress.Move{To: wp("6.8.12", 60421, "woocommerce@6.9.4"), Now: ask(func(d *wordpress.Database) {
			d.Active, d.Versions = nil, map[string]string{"woocommerce_custom_orders_table_enabled": "yes"}
		})}, "X03 orders 0!"},
		{"an active plugin is removed", wordpress.Move{From: now, To: wp("6.8.12", 60421), Now: same}, "X04 plugin 0!"},
		{"back to before a plugin came", wordpress.Move{From: now, To: wp("6.8.12", 60421), Now: same, Back: true}, "X04 plugin 0"},
		{"an inactive plugin is removed", wordpress.Move{From: now, To: wp("6.8.12", 60421), Now: ask(func(d *wordpress.Database) { d.Active = nil })}, ""},
		{"a plugin that was never there is active", wordpress.Move{From: now, To: now, Now: ask(func(d *wordpress.Database) { d.Active = []string{"cart/cart.php", "gone/gone.php"} })}, ""},
		{"a plugin was deactivated since", wordpress.Move{From: now, To: now, Back: true, Then: same, Now: ask(func(d *wordpress.Database) { d.Active = nil })}, "X04 plugin 0"},
		{"a plugin goes back", wordpress.Move{From: wp("6.8.12", 60421, "cart@2.10"), To: now, Back: true, Now: same}, "X07 plugin 0"},
		{"the active theme is missing", wordpress.Move{From: now, To: now, Now: ask(func(d *wordpress.Database) { d.Stylesheet, d.Template = "child", "parent" })}, "X05 theme 0!, X05 theme 0!"},
		{"keys in the tree differ", wordpress.Move{From: now, To: now, Back: true, Then: ask(func(d *wordpress.Database) { d.KeysInTree, d.Keys = true, "1" }), Now: same}, "X09 keys 0"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var got []string
			for _, d := range wordpress.Incompatibilities(tt.move) {
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

func TestOlder(t *testing.T) {
	ordered := []string{"6.1-alpha", "6.1-beta2", "6.1-RC1", "6.1", "6.1.9", "6.8-alpha-59000", "6.8-beta1", "6.8", "6.8.2", "6.8.12", "6.10", "10.0"}
	for i, a := range ordered {
		for j, b := range ordered {
			if got := wordpress.Older(a, b); got != (i < j) {
				t.Errorf("Older(%q, %q) = %v", a, b, got)
			}
		}
	}
	for _, equal := range [][2]string{{"", "6.8"}, {"6.8", ""}, {"2.1", "2.1.0"}, {"2.1.0", "2.1"}} {
		if wordpress.Older(equal[0], equal[1]) {
			t.Errorf("%q is older than %q", equal[0], equal[1])
		}
	}
}

func TestActivePlugins(t *testing.T) {
	got, ok := wordpress.ActivePlugins(`a:2:{i:0;s:13:"cart/cart.php";i:1;s:9:"hello.php";}`)
	if !ok || strings.Join(got, " ") != "cart/cart.php hello.php" {
		t.Errorf("got %q, %v", got, ok)
	}
	got, ok = wordpress.NetworkPlugins(`a:1:{s:13:"cart/cart.php";i:1700000000;}`)
	if !ok || strings.Join(got, " ") != "cart/cart.php" {
		t.Errorf("got %q, %v", got, ok)
	}
	for _, bad := range []string{"", "b:0;", `a:1:{i:0;s:99:"x";}`, `a:9:{i:0;s:1:"x";}`, `a:1:{i:0;O:8:"stdClass":0:{}}`, `a:1:{i:0;s:1:"x";}x`, `a:-1:{}`} {
		if got, ok := wordpress.ActivePlugins(bad); ok {
			t.Errorf("%q is taken for %q", bad, got)
		}
	}
}

func FuzzActivePlugins(f *testing.F) {
	f.Add(`a:2:{i:0;s:13:"cart/cart.php";i:1;s:9:"hello.php";}`)
	f.Fuzz(func(t *testing.T, option string) {
		list, ok := wordpress.ActivePlugins(option)
		if !ok {
			return
		}
		for _, p := range list {
			if !strings.Contains(option, p) {
				t.Errorf("%q is not in %q", p, option)
			}
		}
	})
}
