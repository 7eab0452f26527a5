package wordpress

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// nodeJudges are the rules N01 to N14, D08 and X11.
func nodeJudges() []func(*checker) {
	judges := []func(*checker, *NodeConfig){
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
func judgeOpcache(c *checker, n *NodeConfig) {
	if len(n.INI) == 0 {
		return
	}
	if d, ok := n.ini("opcache.enable"); ok && off(d.Value) {
		c.warn("N01", d.place(), "opcache is off")
	}
	if d, ok := n.ini("opcache.validate_timestamps"); !ok {
		c.warn("N01", n.anyINI(), "opcache.validate_timestamps is not set, and is 1: PHP looks at each file again and again")
	} else if on(d.Value) {
		c.warn("N01", d.place(), "opcache.validate_timestamps is on: PHP looks at each file again and again")
	}
	for _, least := range []struct {
		name  string
		least int
	}{{"opcache.memory_consumption", 128}, {"opcache.interned_strings_buffer", 16}, {"opcache.max_accelerated_files", 10000}} {
		if d, ok := n.ini(least.name); ok && amount(d.Value) < least.least {
			c.warn("N01", d.place(), "%s is %s", least.name, clean(d.Value))
		}
	}
	c.judgeAccelerated(n)
	if d, ok := n.ini("opcache.save_comments"); ok && off(d.Value) {
		c.warn("N01", d.place(), "opcache.save_comments is off: plugins that read annotations break")
	}
	for _, d := range n.Pool {
		if strings.Contains(d.Name, "[opcache.") {
			c.warn("N01", d.place(), "%s has no effect in a pool", clean(d.Name))
		}
	}
	if d, ok := n.ini("opcache.preload"); ok && d.Value != "" {
		c.warn("N03", d.place(), "opcache.preload is set")
	}
}

// judgeAccelerated compares the places that opcache has with the tree. PHP has
// 10000 when nobody says anything.
func (c *checker) judgeAccelerated(n *NodeConfig) {
	d, set := n.ini("opcache.max_accelerated_files")
	if !set {
		d = Directive{Value: "10000", Path: n.INI[0].Path}
	}
	files := 0
	for i := range c.files {
		if c.files[i].php() {
			files++
		}
	}
	if amount(d.Value) >= 10000 && amount(d.Value) < files {
		c.warn("N01", d.place(), "opcache.max_accelerated_files is %s, the tree has %d files of PHP", clean(d.Value), files)
	}
}

// anyINI is a place for what is not written anywhere.
func (n *NodeConfig) anyINI() place { return at(n.INI[0].Path) }

// judgeFileCache is N02.
func judgeFileCache(c *checker, n *NodeConfig) {
	d, ok := n.ini("opcache.file_cache")
	if !ok || d.Value == "" {
		return
	}
	if n.inRoot(d.Value) {
		c.warn("N02", d.place(), "opcache.file_cache is inside the document root, which is read-only")
	}
	if _, ok := n.ini("opcache.file_cache_read_only"); ok && n.PHP != "" && compareVersions(n.PHP, "8.5") < 0 {
		c.warn("N02", d.place(), "opcache.file_cache_read_only needs PHP 8.5, nodes have %s", n.PHP)
	}
}

// judgeRealpath is N05.
func judgeRealpath(c *checker, n *NodeConfig) {
	if d, ok := n.ini("realpath_cache_size"); ok && amount(d.Value) < 1<<20 {
		c.warn("N05", d.place(), "realpath_cache_size is %s", clean(d.Value))
	}
}

// judgeFPM is N06 and N08.
func judgeFPM(c *checker, n *NodeConfig) {
	if !n.hasFPM || len(n.Pool) == 0 {
		return
	}
	first := at(n.Pool[0].Path)
	if d, ok := last(n.Pool, "process_control_timeout"); !ok {
		c.warn("N06", first, "process_control_timeout is not set, and is 0")
	} else if amount(strings.TrimRight(d.Value, "smh")) == 0 {
		c.warn("N06", d.place(), "process_control_timeout is %s", clean(d.Value))
	}
	if d, ok := last(n.Pool, "pm"); ok && d.Value != "static" {
		c.warn("N08", d.place(), "pm is %s", clean(d.Value))
	}
	for _, name := range []string{"ping.path", "request_terminate_timeout"} {
		if d, ok := last(n.Pool, name); !ok || d.Value == "" || d.Value == "0" {
			c.warn("N08", first, "%s is not set", name)
		}
	}
	if d, ok := last(n.Pool, "catch_workers_output"); !ok || !on(d.Value) {
		c.warn("N08", first, "catch_workers_output is not on: what PHP says is lost")
	}
	if d, ok := last(n.Pool, "clear_env"); ok && off(d.Value) {
		c.warn("N08", d.place(), "clear_env is off: PHP sees all of the environment")
	}
}

// judgeUnits is N07.
func judgeUnits(c *checker, n *NodeConfig) {
	for _, d := range n.Units {
		if d.Name == "KillMode" && oneOf(d.Value, "process", "none") && strings.Contains(d.Path, "php") {
			c.warn("N07", d.place(), "KillMode is %s", d.Value)
		}
	}
}

var statusPort = regexp.MustCompile(`^(\d+\.\d+\.\d+\.\d+:|\[.*\]:)?(\d+)\b`)

// judgeNginx is N09, N10 and D08.
func judgeNginx(c *checker, n *NodeConfig) {
	if !n.hasNginx || len(n.Nginx) == 0 {
		return
	}
	first := at(n.Nginx[0].Path)
	c.judgePort(n)
	if !n.nginxHas("try_files", "/index.php") {
		c.warn("N10", first, "no try_files ends in /index.php: permalinks are 404")
	}
	if !n.locationOf("uploads") {
		c.warn("N10", first, "no location denies PHP below uploads")
	}
	if !n.locationOf(`/\.`) {
		c.warn("D08", first, "no location denies files that begin with a dot")
	}
	if d, ok := last(n.Nginx, "keepalive_timeout"); ok && amount(strings.TrimRight(strings.Fields(d.Value + " 0")[0], "s")) <= 60 {
		c.warn("N10", d.place(), "keepalive_timeout is %s, not above the load balancer's 60s", clean(d.Value))
	}
	c.judgeBodySize(n)
	if !n.nginxHas("real_ip_header", "") {
		c.warn("N10", first, "real_ip_header is not set: PHP sees the load balancer as every visitor")
	}
}

func (c *checker) judgeBodySize(n *NodeConfig) {
	upload, ok := n.ini("upload_max_filesize")
	if !ok {
		return
	}
	body, set := last(n.Nginx, "client_max_body_size")
	switch {
	case !set && amount(upload.Value) > 1<<20:
		c.warn("N10", at(n.Nginx[0].Path), "client_max_body_size is 1m, PHP takes uploads of %s", clean(upload.Value))
	case set && amount(body.Value) != 0 && amount(body.Value) < amount(upload.Value):
		c.warn("N10", body.place(), "client_max_body_size is %s, PHP takes uploads of %s", clean(body.Value), clean(upload.Value))
	}
}

// judgePort is N09: it matters where the site is on no port of its own.
func (c *checker) judgePort(n *NodeConfig) {
	d, ok := last(n.Nginx, "fastcgi_param HTTP_HOST")
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
			c.warn("N09", d.place(), "HTTP_HOST is $host, and the site listens on port %s", m[2])
			return
		}
	}
}

func (n *NodeConfig) nginxHas(name, part string) bool {
	return slices.ContainsFunc(n.Nginx, func(d Directive) bool { return d.Name == name && strings.Contains(d.Value, part) })
}

func (n *NodeConfig) locationOf(part string) bool { return n.nginxHas("location", part) }

var versionedRoot = regexp.MustCompile(`/releases?/[^/$]+|/v\d+(/|$)|/\d{8,14}(/|$)`)

// judgeRoot is X11.
func judgeRoot(c *checker, n *NodeConfig) {
	for _, d := range n.Nginx {
		if d.Name == "root" && versionedRoot.MatchString(d.Value) {
			c.warn("X11", d.place(), "the document root %s names a release", clean(d.Value))
		}
	}
}

// inRoot reports whether a path is inside a document root of nginx.
func (n *NodeConfig) inRoot(p string) bool {
	return slices.ContainsFunc(n.Nginx, func(d Directive) bool {
		root := strings.TrimRight(d.Value, "/")
		return d.Name == "root" && len(root) > 1 && (p == root || strings.HasPrefix(p, root+"/"))
	})
}

// judgeGate is N04, N11 and N12, of wpbake's own node.yaml.
func judgeGate(c *checker, n *NodeConfig) {
	if len(n.Boot) == 0 {
		return
	}
	first := at(n.Boot[0].Path)
	if d, ok := last(n.Boot, "warm"); ok && d.Value == "[]" {
		c.warn("N04", d.place(), "warm is empty")
	}
	if d, ok := last(n.Boot, "gate.body"); !ok || d.Value == "" {
		c.warn("N11", first, "gate.body is not set: an empty page of a missing theme is not noticed by its text")
	}
	if d, ok := last(n.Boot, "gate.url"); ok {
		for _, page := range []string{"/wp-login.php", "/index.php", "/wp-cron.php", "/readme.html", "/wp-admin"} {
			if strings.Contains(d.Value, page) {
				c.warn("N12", d.place(), "the gate asks for %s", page)
			}
		}
	}
}

// judgeScratch is N13.
func judgeScratch(c *checker, n *NodeConfig) {
	for _, name := range []string{"upload_tmp_dir", "session.save_path", "sys_temp_dir", "error_log"} {
		if d, ok := n.ini(name); ok && n.inRoot(d.Value) {
			c.warn("N13", d.place(), "%s is inside the document root, which is read-only", name)
		}
	}
}

// judgeMail is N14. A plugin of the tree may send mail by itself.
func judgeMail(c *checker, n *NodeConfig) {
	if len(n.INI) == 0 {
		return
	}
	if d, ok := n.ini("sendmail_path"); ok && d.Value != "" {
		return
	}
	if c.site != nil && slices.ContainsFunc(c.site.Plugins, func(x Extension) bool {
		return strings.Contains(x.Slug, "smtp") || strings.Contains(x.Slug, "mail") || strings.Contains(x.Slug, "-ses")
	}) {
		return
	}
	c.warn("N14", n.anyINI(), "sendmail_path is not set, and no plugin sends mail")
}
