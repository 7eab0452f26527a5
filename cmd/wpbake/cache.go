package main

import (
	"path/filepath"
	"strings"
)

// Settings of commands that look at a tree, and that build one.
var (
	checkKeys = []string{"tree", "exclude", "check.cron", "check.node", "check.node_php", "check.php", "check.checksums", "check.strict"}
	treeKeys  = append([]string{"cache", "carry_assets"}, checkKeys...)
)

// noCache is the value of the setting that remembers nothing.
const noCache = "off"

// cacheDir is where builds are remembered, or empty.
func (c *cli) cacheDir(cfg Config) string {
	switch cfg.Cache {
	case noCache:
		return ""
	case "":
	default:
		return cfg.Cache
	}
	if cache, _ := c.Env("XDG_CACHE_HOME"); filepath.IsAbs(cache) {
		return filepath.Join(cache, "wpbake")
	}
	if home, _ := c.Env("HOME"); filepath.IsAbs(home) {
		return filepath.Join(home, ".cache", "wpbake")
	}
	return ""
}

// cacheName names a tree that was unpacked into a scratch directory dir after
// where it comes from: the next archive of a folder and the next revision of a
// repository share most files with this one. A tree that is a directory goes
// by its path.
func cacheName(tree, dir string) string {
	if tree == dir {
		return ""
	}
	where := filepath.Dir(tree)
	if repository, ok := strings.CutPrefix(tree, "git:"); ok {
		where = repository[:max(0, strings.LastIndex(repository, "@"))]
	}
	abs, err := filepath.Abs(where)
	if err != nil {
		return ""
	}
	return "unpacked from " + abs
}
