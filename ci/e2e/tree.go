package e2e

import (
	"context"
	"embed"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

//go:embed files/install.php
var installPHP []byte

// install fills the database with a shop of ten candles.
func install(ctx context.Context, dir, tree string, s settings) error {
	script := filepath.Join(dir, "install.php")
	if err := os.WriteFile(script, installPHP, 0o600); err != nil {
		return fmt.Errorf("installing WordPress: %w", err)
	}
	cmd := exec.CommandContext(ctx, "php", script, tree)
	cmd.Env = append(os.Environ(), s.environ()...)
	cmd.Env = append(cmd.Env, "WPB_ADMIN_PASSWORD="+secret())
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("installing WordPress: %w\n%s", err, out)
	}
	return nil
}

// Tree is a directory with WordPress, to be edited and released.
type Tree string

// copyTree makes the tree that a demo edits.
func copyTree(from, to string) error {
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		return fmt.Errorf("copying the WordPress tree: %w", err)
	}
	return nil
}

// footer is the part of the theme that every page shows.
const footer = "wp-content/themes/twentytwentythree/parts/footer.html"

// EditTheme writes text into the footer of every page.
func (t Tree) EditTheme(text string) error {
	name := filepath.Join(string(t), footer)
	old, err := os.ReadFile(name)
	if err != nil {
		return fmt.Errorf("editing the theme: %w", err)
	}
	paragraph := "<!-- wp:paragraph --><p>" + text + "</p><!-- /wp:paragraph -->\n"
	return os.WriteFile(name, append([]byte(paragraph), old...), 0o644)
}

// BrokenPlugin is a plugin whose last line PHP cannot parse.
const BrokenPlugin = "wp-content/plugins/winter-sale/winter-sale.php"

// BrokenLine is the line of BrokenPlugin that PHP complains about.
const BrokenLine = 7

// AddBrokenPlugin adds BrokenPlugin to the tree.
func (t Tree) AddBrokenPlugin() error {
	name := filepath.Join(string(t), BrokenPlugin)
	lines := []string{
		"<?php",
		"/*",
		" * Plugin Name: Winter sale",
		" */",
		"add_filter( 'the_title', function ( $title ) {",
		"\treturn $title . ' (sale)'",
		"} );",
	}
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return fmt.Errorf("adding a plugin: %w", err)
	}
	return os.WriteFile(name, []byte(strings.Join(lines, "\n")+"\n"), 0o644)
}

//go:embed files/plugins
var plugins embed.FS

// AddPlugin adds one of the plugins in files/plugins to the tree. It is loaded
// where the database has it active.
func (t Tree) AddPlugin(name string) error {
	files, err := fs.Sub(plugins, "files/plugins/"+name)
	if err == nil {
		err = os.CopyFS(t.pluginDir(name), files)
	}
	if err != nil {
		return fmt.Errorf("adding the plugin %s: %w", name, err)
	}
	return nil
}

// RemovePlugin takes a plugin out of the tree again.
func (t Tree) RemovePlugin(name string) error { return os.RemoveAll(t.pluginDir(name)) }

func (t Tree) pluginDir(name string) string {
	return filepath.Join(string(t), "wp-content/plugins", name)
}

// UpgradeShop makes the plugin wpb-shop in the tree the next version, which
// brings a column to its table.
func (t Tree) UpgradeShop() error {
	name := filepath.Join(t.pluginDir("wpb-shop"), "wpb-shop.php")
	old, err := os.ReadFile(name)
	if err != nil {
		return fmt.Errorf("upgrading the plugin wpb-shop: %w", err)
	}
	return os.WriteFile(name, []byte(strings.ReplaceAll(string(old), "1.0.0", "2.0.0")), 0o644)
}
