package rules

import (
	"slices"
	"strconv"
	"strings"

	"github.com/wpbake/wpbake/wordpress"
	"github.com/wpbake/wpbake/wordpress/internal/printable"
	"github.com/wpbake/wpbake/wordpress/nodeconfig"
	"github.com/wpbake/wpbake/wordpress/php"
	"github.com/wpbake/wpbake/wordpress/scan"
)

func opcacheRules() []Rule {
	return []Rule{
		{
			ID: "N01", Title: "opcache", Severities: warns(), Phase: InNode,
			Why: "Without it, or with files looked at on each request, every page costs several times its CPU.",
			Fix: "opcache.enable=1, opcache.validate_timestamps=0, opcache.memory_consumption=192, opcache.interned_strings_buffer=32, opcache.max_accelerated_files=20000, opcache.save_comments=1, in php.ini.",
			find: all(onNode(opcache), func(v *view) hits {
				if v.Node == nil {
					return nil
				}
				return accelerated(v.tree, v.Node)
			}),
		},
		{
			ID: "N02", Title: "opcache's file cache", Severities: warns(), Phase: InNode,
			Why:  "Before PHP 8.5 a directory that cannot be written is not used, without a word.",
			Fix:  "A directory outside the document root that PHP can write, filled on the node itself.",
			find: onNode(fileCache),
		},
		{
			ID: "N03", Title: "Preloading", Severities: warns(), Phase: InNode,
			Why:  "It gives no more than the file cache, and ends PHP on names that plugins declare too.",
			Fix:  "Remove opcache.preload.",
			find: onNode(preload),
		},
		{
			ID: "N05", Title: "The realpath cache", Severities: warns(), Phase: InNode,
			Why:  "A small one is full before WordPress is loaded.",
			Fix:  "realpath_cache_size=4096k, realpath_cache_ttl=600.",
			find: onNode(realpathCache),
		},
	}
}

func fpmRules() []Rule {
	return []Rule{
		{
			ID: "N06", Title: "How php-fpm stops", Severities: warns(), Phase: InNode,
			Why:  "With process_control_timeout=0 each reload drops the requests that are running.",
			Fix:  "process_control_timeout = 20s in php-fpm's [global].",
			find: onNode(stopping),
		},
		{
			ID: "N07", Title: "What is left of a php-fpm that was killed", Severities: warns(), Phase: InNode,
			Why:  "Its children live on and hold its socket.",
			Fix:  "KillMode=mixed or control-group in its systemd unit.",
			find: onNode(killing),
		},
		{
			ID: "N08", Title: "php-fpm's pool", Severities: warns(), Phase: InNode,
			Why:  "Processes that come and go with load, no ping, and no limit on requests make a node unpredictable.",
			Fix:  "pm = static, ping.path = /fpm-ping, request_terminate_timeout = 60s, catch_workers_output = yes, clear_env = yes with env[] for each name.",
			find: onNode(pool),
		},
		{
			ID: "N13", Title: "Scratch directories inside the document root", Severities: warns(), Phase: InNode,
			Why:  "The document root cannot be written.",
			Fix:  "upload_tmp_dir, session.save_path and opcache.file_cache outside of it.",
			find: onNode(scratch),
		},
		{
			ID: "N14", Title: "Mail", Severities: warns(), Phase: InNode,
			Why: "A node has no mail server: resets of passwords are lost.",
			Fix: "sendmail_path in php.ini, or a plugin for SES or SMTP.",
			find: func(v *view) hits {
				if v.Node == nil {
					return nil
				}
				return mail(v.site, v.Node)
			},
		},
	}
}

func on(v string) bool { return oneOf(strings.ToLower(v), "1", "on", "yes", "true") }

func off(v string) bool { return oneOf(strings.ToLower(v), "0", "off", "no", "false", "") }

// amount reads PHP's 128M and 4096k.
func amount(s string) int {
	s = strings.TrimSpace(strings.ToLower(s))
	unit := 1
	for suffix, n := range map[string]int{"k": 1 << 10, "m": 1 << 20, "g": 1 << 30} {
		if t, ok := strings.CutSuffix(s, suffix); ok {
			s, unit = t, n
		}
	}
	n, _ := strconv.Atoi(s)
	return n * unit
}

// seconds reads php-fpm's 20s, as far as asking whether it is none.
func seconds(s string) int { return amount(strings.TrimRight(s, "smh")) }

// opcache is N01.
func opcache(node *nodeconfig.Config) (h hits) {
	if len(node.INI) == 0 {
		return nil
	}
	if d, ok := node.PHPSetting("opcache.enable"); ok && off(d.Value) {
		h.warn(atDirective(d), "opcache is off")
	}
	if d, ok := node.PHPSetting("opcache.validate_timestamps"); !ok {
		h.warn(anyINI(node), "opcache.validate_timestamps is not set, and is 1: PHP looks at each file again and again")
	} else if on(d.Value) {
		h.warn(atDirective(d), "opcache.validate_timestamps is on: PHP looks at each file again and again")
	}
	for _, setting := range []struct {
		name  string
		least int
	}{{"opcache.memory_consumption", 128}, {"opcache.interned_strings_buffer", 16}, {"opcache.max_accelerated_files", leastAccelerated}} {
		if d, ok := node.PHPSetting(setting.name); ok && amount(d.Value) < setting.least {
			h.warn(atDirective(d), "%s is %s", setting.name, printable.Clean(d.Value))
		}
	}
	if d, ok := node.PHPSetting("opcache.save_comments"); ok && off(d.Value) {
		h.warn(atDirective(d), "opcache.save_comments is off: plugins that read annotations break")
	}
	for _, d := range node.Pool {
		if strings.Contains(d.Name, "[opcache.") {
			h.warn(atDirective(d), "%s has no effect in a pool", printable.Clean(d.Name))
		}
	}
	return h
}

// The places that opcache has when nobody says anything.
const leastAccelerated = 10000

// accelerated is N01 where opcache has fewer places than the tree has files.
func accelerated(tree *scan.Tree, node *nodeconfig.Config) (h hits) {
	if len(node.INI) == 0 {
		return nil
	}
	d, set := node.PHPSetting("opcache.max_accelerated_files")
	if !set {
		d = nodeconfig.Directive{Value: strconv.Itoa(leastAccelerated), Path: node.INI[0].Path}
	}
	files := 0
	for i := range tree.Files {
		if tree.Files[i].IsPHP() {
			files++
		}
	}
	if amount(d.Value) >= leastAccelerated && amount(d.Value) < files {
		h.warn(atDirective(d), "opcache.max_accelerated_files is %s, the tree has %d files of PHP", printable.Clean(d.Value), files)
	}
	return h
}

// anyINI is a place for what is not written anywhere.
func anyINI(node *nodeconfig.Config) place { return at(node.INI[0].Path) }

// preload is N03.
func preload(node *nodeconfig.Config) (h hits) {
	if len(node.INI) == 0 {
		return nil
	}
	if d, ok := node.PHPSetting("opcache.preload"); ok && d.Value != "" {
		h.warn(atDirective(d), "opcache.preload is set")
	}
	return h
}

// fileCache is N02.
func fileCache(node *nodeconfig.Config) (h hits) {
	d, ok := node.PHPSetting("opcache.file_cache")
	if !ok || d.Value == "" {
		return nil
	}
	if node.InRoot(d.Value) {
		h.warn(atDirective(d), "opcache.file_cache is inside the document root, which is read-only")
	}
	if _, ok := node.PHPSetting("opcache.file_cache_read_only"); ok && node.PHP != "" && php.CompareNumbers(node.PHP, "8.5") < 0 {
		h.warn(atDirective(d), "opcache.file_cache_read_only needs PHP 8.5, nodes have %s", node.PHP)
	}
	return h
}

// realpathCache is N05.
func realpathCache(node *nodeconfig.Config) (h hits) {
	if d, ok := node.PHPSetting("realpath_cache_size"); ok && amount(d.Value) < 1<<20 {
		h.warn(atDirective(d), "realpath_cache_size is %s", printable.Clean(d.Value))
	}
	return h
}

// stopping is N06.
func stopping(node *nodeconfig.Config) (h hits) {
	if len(node.Pool) == 0 {
		return nil
	}
	if d, ok := nodeconfig.Last(node.Pool, "process_control_timeout"); !ok {
		h.warn(at(node.Pool[0].Path), "process_control_timeout is not set, and is 0")
	} else if seconds(d.Value) == 0 {
		h.warn(atDirective(d), "process_control_timeout is %s", printable.Clean(d.Value))
	}
	return h
}

// killing is N07.
func killing(node *nodeconfig.Config) (h hits) {
	for _, d := range node.Units {
		if d.Name == "KillMode" && oneOf(d.Value, "process", "none") && strings.Contains(d.Path, "php") {
			h.warn(atDirective(d), "KillMode is %s", d.Value)
		}
	}
	return h
}

// pool is N08.
func pool(node *nodeconfig.Config) (h hits) {
	if len(node.Pool) == 0 {
		return nil
	}
	first := at(node.Pool[0].Path)
	if d, ok := nodeconfig.Last(node.Pool, "pm"); ok && d.Value != "static" {
		h.warn(atDirective(d), "pm is %s", printable.Clean(d.Value))
	}
	for _, name := range []string{"ping.path", "request_terminate_timeout"} {
		if d, ok := nodeconfig.Last(node.Pool, name); !ok || d.Value == "" || d.Value == "0" {
			h.warn(first, "%s is not set", name)
		}
	}
	if d, ok := nodeconfig.Last(node.Pool, "catch_workers_output"); !ok || !on(d.Value) {
		h.warn(first, "catch_workers_output is not on: what PHP says is lost")
	}
	if d, ok := nodeconfig.Last(node.Pool, "clear_env"); ok && off(d.Value) {
		h.warn(atDirective(d), "clear_env is off: PHP sees all of the environment")
	}
	return h
}

// scratch is N13.
func scratch(node *nodeconfig.Config) (h hits) {
	for _, name := range []string{"upload_tmp_dir", "session.save_path", "sys_temp_dir", "error_log"} {
		if d, ok := node.PHPSetting(name); ok && node.InRoot(d.Value) {
			h.warn(atDirective(d), "%s is inside the document root, which is read-only", name)
		}
	}
	return h
}

// mail is N14. A plugin of the tree may send mail by itself; the site may be
// nil.
func mail(site *wordpress.Site, node *nodeconfig.Config) (h hits) {
	if len(node.INI) == 0 {
		return nil
	}
	if d, ok := node.PHPSetting("sendmail_path"); ok && d.Value != "" {
		return nil
	}
	if site != nil && slices.ContainsFunc(site.Plugins, func(x wordpress.Extension) bool {
		return strings.Contains(x.Slug, "smtp") || strings.Contains(x.Slug, "mail") || strings.Contains(x.Slug, "-ses")
	}) {
		return nil
	}
	h.warn(anyINI(node), "sendmail_path is not set, and no plugin sends mail")
	return h
}
