package rules

import (
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/wpbake/wpbake/wordpress"
	"github.com/wpbake/wpbake/wordpress/internal/printable"
	"github.com/wpbake/wpbake/wordpress/nodeconfig"
	"github.com/wpbake/wpbake/wordpress/php"
)

// nodeJudges are the rules N01 to N14, D08 and X11.
func nodeJudges() []func(*checker) {
	judges := []func(*checker, *nodeconfig.Config){
		judgeOpcache, judgeFileCache, judgeRealpath, judgeFPM, judgeUnits, judgeNginx, judgeRoot, judgeGate, judgeScratch, judgeMail,
	}
	list := make([]func(*checker), len(judges))
	for i, judge := range judges {
		list[i] = func(c *checker) {
			if c.Node != nil {
				judge(c, c.Node)
			}
		}
	}
	return list
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

// judgeOpcache is N01 and N03.
func judgeOpcache(c *checker, n *nodeconfig.Config) {
	if len(n.INI) == 0 {
		return
	}
	if d, ok := n.PHPSetting("opcache.enable"); ok && off(d.Value) {
		c.warn("N01", atDirective(d), "opcache is off")
	}
	if d, ok := n.PHPSetting("opcache.validate_timestamps"); !ok {
		c.warn("N01", anyINI(n), "opcache.validate_timestamps is not set, and is 1: PHP looks at each file again and again")
	} else if on(d.Value) {
		c.warn("N01", atDirective(d), "opcache.validate_timestamps is on: PHP looks at each file again and again")
	}
	for _, least := range []struct {
		name  string
		least int
	}{{"opcache.memory_consumption", 128}, {"opcache.interned_strings_buffer", 16}, {"opcache.max_accelerated_files", 10000}} {
		if d, ok := n.PHPSetting(least.name); ok && amount(d.Value) < least.least {
			c.warn("N01", atDirective(d), "%s is %s", least.name, printable.Clean(d.Value))
		}
	}
	c.judgeAccelerated(n)
	if d, ok := n.PHPSetting("opcache.save_comments"); ok && off(d.Value) {
		c.warn("N01", atDirective(d), "opcache.save_comments is off: plugins that read annotations break")
	}
	for _, d := range n.Pool {
		if strings.Contains(d.Name, "[opcache.") {
			c.warn("N01", atDirective(d), "%s has no effect in a pool", printable.Clean(d.Name))
		}
	}
	if d, ok := n.PHPSetting("opcache.preload"); ok && d.Value != "" {
		c.warn("N03", atDirective(d), "opcache.preload is set")
	}
}

// judgeAccelerated compares the places that opcache has with the tree. PHP has
// 10000 when nobody says anything.
func (c *checker) judgeAccelerated(n *nodeconfig.Config) {
	d, set := n.PHPSetting("opcache.max_accelerated_files")
	if !set {
		d = nodeconfig.Directive{Value: "10000", Path: n.INI[0].Path}
	}
	files := 0
	for i := range c.files {
		if c.files[i].php() {
			files++
		}
	}
	if amount(d.Value) >= 10000 && amount(d.Value) < files {
		c.warn("N01", atDirective(d), "opcache.max_accelerated_files is %s, the tree has %d files of PHP", printable.Clean(d.Value), files)
	}
}

// anyINI is a place for what is not written anywhere.
func anyINI(n *nodeconfig.Config) place { return at(n.INI[0].Path) }

// judgeFileCache is N02.
func judgeFileCache(c *checker, n *nodeconfig.Config) {
	d, ok := n.PHPSetting("opcache.file_cache")
	if !ok || d.Value == "" {
		return
	}
	if n.InRoot(d.Value) {
		c.warn("N02", atDirective(d), "opcache.file_cache is inside the document root, which is read-only")
	}
	if _, ok := n.PHPSetting("opcache.file_cache_read_only"); ok && n.PHP != "" && php.CompareNumbers(n.PHP, "8.5") < 0 {
		c.warn("N02", atDirective(d), "opcache.file_cache_read_only needs PHP 8.5, nodes have %s", n.PHP)
	}
}

// judgeRealpath is N05.
func judgeRealpath(c *checker, n *nodeconfig.Config) {
	if d, ok := n.PHPSetting("realpath_cache_size"); ok && amount(d.Value) < 1<<20 {
		c.warn("N05", atDirective(d), "realpath_cache_size is %s", printable.Clean(d.Value))
	}
}

// judgeFPM is N06 and N08.
func judgeFPM(c *checker, n *nodeconfig.Config) {
	if len(n.Pool) == 0 {
		return
	}
	first := at(n.Pool[0].Path)
	if d, ok := nodeconfig.Last(n.Pool, "process_control_timeout"); !ok {
		c.warn("N06", first, "process_control_timeout is not set, and is 0")
	} else if amount(strings.TrimRight(d.Value, "smh")) == 0 {
		c.warn("N06", atDirective(d), "process_control_timeout is %s", printable.Clean(d.Value))
	}
	if d, ok := nodeconfig.Last(n.Pool, "pm"); ok && d.Value != "static" {
		c.warn("N08", atDirective(d), "pm is %s", printable.Clean(d.Value))
	}
	for _, name := range []string{"ping.path", "request_terminate_timeout"} {
		if d, ok := nodeconfig.Last(n.Pool, name); !ok || d.Value == "" || d.Value == "0" {
			c.warn("N08", first, "%s is not set", name)
		}
	}
	if d, ok := nodeconfig.Last(n.Pool, "catch_workers_output"); !ok || !on(d.Value) {
		c.warn("N08", first, "catch_workers_output is not on: what PHP says is lost")
	}
	if d, ok := nodeconfig.Last(n.Pool, "clear_env"); ok && off(d.Value) {
		c.warn("N08", atDirective(d), "clear_env is off: PHP sees all of the environment")
	}
}

// judgeUnits is N07.
func judgeUnits(c *checker, n *nodeconfig.Config) {
	for _, d := range n.Units {
		if d.Name == "KillMode" && oneOf(d.Value, "process", "none") && strings.Contains(d.Path, "php") {
			c.warn("N07", atDirective(d), "KillMode is %s", d.Value)
		}
	}
}

var statusPort = regexp.MustCompile(`^(\d+\.\d+\.\d+\.\d+:|\[.*\]:)?(\d+)\b`)

// judgeNginx is N09, N10 and D08.
func judgeNginx(c *checker, n *nodeconfig.Config) {
	if len(n.Nginx) == 0 {
		return
	}
	first := at(n.Nginx[0].Path)
	c.judgePort(n)
	if !n.HasNginx("try_files", "/index.php") {
		c.warn("N10", first, "no try_files ends in /index.php: permalinks are 404")
	}
	if !n.HasNginx("location", "uploads") {
		c.warn("N10", first, "no location denies PHP below uploads")
	}
	if !n.HasNginx("location", `/\.`) {
		c.warn("D08", first, "no location denies files that begin with a dot")
	}
	if d, ok := nodeconfig.Last(n.Nginx, "keepalive_timeout"); ok && amount(strings.TrimRight(strings.Fields(d.Value + " 0")[0], "s")) <= 60 {
		c.warn("N10", atDirective(d), "keepalive_timeout is %s, not above the load balancer's 60s", printable.Clean(d.Value))
	}
	c.judgeBodySize(n)
	if !n.HasNginx("real_ip_header", "") {
		c.warn("N10", first, "real_ip_header is not set: PHP sees the load balancer as every visitor")
	}
}

func (c *checker) judgeBodySize(n *nodeconfig.Config) {
	upload, ok := n.PHPSetting("upload_max_filesize")
	if !ok {
		return
	}
	body, set := nodeconfig.Last(n.Nginx, "client_max_body_size")
	switch {
	case !set && amount(upload.Value) > 1<<20:
		c.warn("N10", at(n.Nginx[0].Path), "client_max_body_size is 1m, PHP takes uploads of %s", printable.Clean(upload.Value))
	case set && amount(body.Value) != 0 && amount(body.Value) < amount(upload.Value):
		c.warn("N10", atDirective(body), "client_max_body_size is %s, PHP takes uploads of %s", printable.Clean(body.Value), printable.Clean(upload.Value))
	}
}

// judgePort is N09: it matters where the site is on no port of its own.
func (c *checker) judgePort(n *nodeconfig.Config) {
	d, ok := nodeconfig.Last(n.Nginx, "fastcgi_param HTTP_HOST")
	for _, x := range n.Nginx {
		if x.Name == "fastcgi_param" && strings.HasPrefix(x.Value, "HTTP_HOST ") {
			d, ok = x, true
		}
	}
	if !ok || !strings.HasSuffix(d.Value, "$host") {
		return
	}
	for _, x := range n.Nginx {
		if m := statusPort.FindStringSubmatch(x.Value); x.Name == "listen" && m != nil && !oneOf(m[2], "80", "443") {
			c.warn("N09", atDirective(d), "HTTP_HOST is $host, and the site listens on port %s", m[2])
			return
		}
	}
}

var versionedRoot = regexp.MustCompile(`/releases?/[^/$]+|/v\d+(/|$)|/\d{8,14}(/|$)`)

// judgeRoot is X11.
func judgeRoot(c *checker, n *nodeconfig.Config) {
	for _, d := range n.Nginx {
		if d.Name == "root" && versionedRoot.MatchString(d.Value) {
			c.warn("X11", atDirective(d), "the document root %s names a release", printable.Clean(d.Value))
		}
	}
}

// judgeGate is N04, N11 and N12, of wpbake's own node.yaml.
func judgeGate(c *checker, n *nodeconfig.Config) {
	if len(n.Boot) == 0 {
		return
	}
	first := at(n.Boot[0].Path)
	if d, ok := nodeconfig.Last(n.Boot, "warm"); ok && d.Value == "[]" {
		c.warn("N04", atDirective(d), "warm is empty")
	}
	if d, ok := nodeconfig.Last(n.Boot, "gate.body"); !ok || d.Value == "" {
		c.warn("N11", first, "gate.body is not set: an empty page of a missing theme is not noticed by its text")
	}
	if d, ok := nodeconfig.Last(n.Boot, "gate.url"); ok {
		for _, page := range []string{"/wp-login.php", "/index.php", "/wp-cron.php", "/readme.html", "/wp-admin"} {
			if strings.Contains(d.Value, page) {
				c.warn("N12", atDirective(d), "the gate asks for %s", page)
			}
		}
	}
}

// judgeScratch is N13.
func judgeScratch(c *checker, n *nodeconfig.Config) {
	for _, name := range []string{"upload_tmp_dir", "session.save_path", "sys_temp_dir", "error_log"} {
		if d, ok := n.PHPSetting(name); ok && n.InRoot(d.Value) {
			c.warn("N13", atDirective(d), "%s is inside the document root, which is read-only", name)
		}
	}
}

// judgeMail is N14. A plugin of the tree may send mail by itself.
func judgeMail(c *checker, n *nodeconfig.Config) {
	if len(n.INI) == 0 {
		return
	}
	if d, ok := n.PHPSetting("sendmail_path"); ok && d.Value != "" {
		return
	}
	if c.site != nil && slices.ContainsFunc(c.site.Plugins, func(x wordpress.Extension) bool {
		return strings.Contains(x.Slug, "smtp") || strings.Contains(x.Slug, "mail") || strings.Contains(x.Slug, "-ses")
	}) {
		return
	}
	c.warn("N14", anyINI(n), "sendmail_path is not set, and no plugin sends mail")
}
