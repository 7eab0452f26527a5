package rules

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/wpbake/wpbake/wordpress/internal/printable"
	"github.com/wpbake/wpbake/wordpress/php"
	"github.com/wpbake/wpbake/wordpress/wpconfig"
)

// configJudges are the rules C01 to C18; C15 and C19 compare with the tree in
// service, C20 asks the database.
func configJudges() []func(*checker) {
	return []func(*checker){
		withConfig(judgeCredentials), withConfig(judgeSalts), withConfig(judgeAddress), withConfig(judgeHTTPS),
		withConfig(judgeFileMods), withConfig(judgeCron), withConfig(judgeDebug), withConfig(judgeEnvironment),
		withConfig(judgeFileAccess), withConfig(judgeCaches), withConfig(judgeContent), judgeSessions,
		withConfig(judgeMultisite), withConfig(judgeOutside), judgeUploadPath,
	}
}

// withConfig runs a rule when there is a configuration.
func withConfig(judge func(*checker, *wpconfig.Config)) func(*checker) {
	return func(c *checker) {
		if c.site != nil && c.site.Config != nil {
			judge(c, c.site.Config)
		}
	}
}

// missing says that a constant is not defined, and why if it looks defined.
func missing(config *wpconfig.Config, name string) (place, string) {
	for _, k := range config.Constants {
		if k.Name == name && k.Dead {
			return atConstant(k), name + " is defined where it has no effect: after wp-settings.php, or a second time"
		}
	}
	return at(config.Path), name + " is not defined"
}

var databaseURL = regexp.MustCompile(`(?i)(mysqli?|mariadb)://[^\s:/@]+:[^\s@]+@`)

// judgeCredentials is C01 and C17.
func judgeCredentials(c *checker, config *wpconfig.Config) {
	for _, k := range config.Constants {
		switch {
		case k.Name == "DB_HOST" && k.Value.Literal() && ownHost(k.Value.Text):
			c.block("C17", atConstant(k), "DB_HOST is %q: a database on the node itself", printable.Cut(printable.Clean(k.Value.Text), 60))
		case oneOf(k.Name, "DB_PASSWORD", "DB_USER", "DB_HOST", "DB_NAME") && k.Value.Literal():
			c.block("C01", atConstant(k), "%s is written in the tree", k.Name)
		case k.Value.Literal() && databaseURL.MatchString(k.Value.Text):
			c.block("C01", atConstant(k), "%s holds a database's address with its password", printable.Clean(k.Name))
		}
	}
}

func ownHost(host string) bool {
	return strings.HasPrefix(host, "/") || strings.HasPrefix(host, "localhost") || strings.HasPrefix(host, "127.") ||
		strings.HasPrefix(host, ":/") || host == "::1" || strings.HasPrefix(host, "[::1]")
}

func saltNames() []string {
	return []string{
		"AUTH_KEY", "SECURE_AUTH_KEY", "LOGGED_IN_KEY", "NONCE_KEY",
		"AUTH_SALT", "SECURE_AUTH_SALT", "LOGGED_IN_SALT", "NONCE_SALT",
	}
}

var perNode = regexp.MustCompile(`(?i)^(rand|mt_rand|random_int|random_bytes|uniqid|gethostname|php_uname|microtime|time|getmypid|hostname|server_addr|instance.?id|wp_generate_password)$`)

// judgeSalts is C02.
func judgeSalts(c *checker, config *wpconfig.Config) {
	var literal, own, absent []place
	for _, name := range saltNames() {
		k, ok := config.Get(name)
		switch {
		case !ok || k.Value.Kind == php.String && (k.Value.Text == "" || strings.Contains(k.Value.Text, "put your unique phrase here")):
			p := at(config.Path)
			if ok {
				p = atConstant(k)
			}
			absent = append(absent, p)
		case slices.ContainsFunc(k.Source, perNode.MatchString):
			own = append(own, atConstant(k))
		}
	}
	for _, k := range config.Constants {
		if slices.Contains(saltNames(), k.Name) && k.Value.Literal() && !strings.Contains(k.Value.Text, "put your unique phrase here") {
			literal = append(literal, atConstant(k))
		}
	}
	if len(literal) > 0 {
		c.block("C02", literal[0], "%d of the 8 keys and salts are written in the tree", len(literal))
	}
	if len(own) > 0 {
		c.block("C02", own[0], "%d of the 8 keys and salts differ from node to node", len(own))
	}
	if len(absent) > 0 && !config.MayDefineElsewhere() {
		c.warn("C02", absent[0], "%d of the 8 keys and salts are not set: WordPress keeps them in the database", len(absent))
	}
}

// judgeAddress is C03.
func judgeAddress(c *checker, config *wpconfig.Config) {
	for _, name := range []string{"WP_HOME", "WP_SITEURL"} {
		k, ok := config.Get(name)
		switch {
		case !ok && !config.MayDefineElsewhere():
			p, what := missing(config, name)
			c.warn("C03", p, "%s", what)
		case ok && slices.ContainsFunc(k.Source, ofRequest):
			c.warn("C03", atConstant(k), "%s comes from the request", name)
		case ok && k.Value.Literal():
			c.warn("C03", atConstant(k), "%s is written in the tree", name)
		}
	}
}

func ofRequest(s string) bool {
	return strings.Contains(s, "HTTP_HOST") || strings.Contains(s, "SERVER_NAME")
}

// judgeHTTPS is C04. It knows that the site is https only when it says so.
func judgeHTTPS(c *checker, config *wpconfig.Config) {
	p, secure := c.secureSite(config)
	if !secure || config.ReadsProto || config.MayDefineElsewhere() || c.Node != nil && c.Node.MapsProto() {
		return
	}
	c.block("C04", p, "the site is https, and nothing makes HTTPS of the load balancer's X-Forwarded-Proto")
}

func (c *checker) secureSite(config *wpconfig.Config) (place, bool) {
	for _, name := range []string{"WP_HOME", "WP_SITEURL"} {
		if k, ok := config.Get(name); ok && strings.HasPrefix(k.Value.Text, "https://") {
			return atConstant(k), true
		}
	}
	if k, ok := config.Get("FORCE_SSL_ADMIN"); ok && k.Value.Truthy() {
		return atConstant(k), true
	}
	return at(config.Path), c.Database != nil && strings.HasPrefix(c.Database.SiteURL, "https://")
}

// judgeFileMods is C05 and C06.
func judgeFileMods(c *checker, config *wpconfig.Config) {
	if config.On("DISALLOW_FILE_MODS") {
		return
	}
	k, ok := config.Get("DISALLOW_FILE_MODS")
	switch p, what := missing(config, "DISALLOW_FILE_MODS"); {
	case ok:
		c.block("C05", atConstant(k), "DISALLOW_FILE_MODS is false")
	case config.MayDefineElsewhere():
		c.warn("C05", p, "%s, unless a file outside the tree does", what)
		return
	default:
		c.block("C05", p, "%s", what)
	}
	core, ok := config.Get("WP_AUTO_UPDATE_CORE")
	if config.On("AUTOMATIC_UPDATER_DISABLED") || ok && core.Value.Falsy() {
		return
	}
	p, what := missing(config, "AUTOMATIC_UPDATER_DISABLED")
	c.block("C06", p, "%s: WordPress updates itself", what)
}

// judgeCron is C07.
func judgeCron(c *checker, config *wpconfig.Config) {
	if k, ok := config.Get("ALTERNATE_WP_CRON"); ok && k.Value.Truthy() {
		c.warn("C07", atConstant(k), "ALTERNATE_WP_CRON redirects visitors to run cron")
	}
	k, ok := config.Get("DISABLE_WP_CRON")
	switch p, what := missing(config, "DISABLE_WP_CRON"); {
	case !ok && config.MayDefineElsewhere():
	case !ok:
		c.warn("C07", p, "%s: every node runs cron", what)
	case k.Value.Falsy():
		c.warn("C07", atConstant(k), "DISABLE_WP_CRON is false: every node runs cron")
	case c.Cron == "" && k.Value.Kind != php.Unknown:
		c.block("C07", atConstant(k), "DISABLE_WP_CRON is true, and nobody is named who runs cron")
	case c.Cron == "":
		c.warn("C07", atConstant(k), "DISABLE_WP_CRON comes from the environment, and nobody is named who runs cron")
	}
}

// judgeDebug is C08.
func judgeDebug(c *checker, config *wpconfig.Config) {
	if k, ok := config.Get("WP_DEBUG"); ok && k.Value.Truthy() {
		if display, ok := config.Get("WP_DEBUG_DISPLAY"); ok && display.Value.Kind != php.Unknown && display.Value.Falsy() {
			c.warn("C08", atConstant(k), "WP_DEBUG is %s", spoken(k.Value))
		} else {
			c.block("C08", atConstant(k), "WP_DEBUG is %s, and WP_DEBUG_DISPLAY is not false: errors stand in pages", spoken(k.Value))
		}
	}
	for _, name := range []string{"WP_DEBUG_LOG", "SAVEQUERIES", "SCRIPT_DEBUG", "WP_DISABLE_FATAL_ERROR_HANDLER"} {
		if k, ok := config.Get(name); ok && k.Value.Truthy() {
			c.warn("C08", atConstant(k), "%s is %s", name, spoken(k.Value))
		}
	}
	if k, ok := config.Get("WP_ALLOW_REPAIR"); ok && k.Value.Truthy() {
		c.block("C08", atConstant(k), "WP_ALLOW_REPAIR is %s: anybody can repair the database", spoken(k.Value))
	}
	for _, call := range config.Calls {
		c.judgeDebugCall(call)
	}
}

func (c *checker) judgeDebugCall(call wpconfig.Call) {
	p := place{call.Path, call.Line}
	switch {
	case call.Name == "ini_set" && len(call.Args) == 2 && call.Args[0].Text == "display_errors" && switchedOn(call.Args[1]):
		c.block("C08", p, "display_errors is switched on: errors stand in pages")
	case call.Name == "error_reporting" && (len(call.Args) == 0 || !call.Args[0].Falsy()):
		c.warn("C08", p, "error_reporting() is set by hand")
	}
}

// switchedOn reads a value as php.ini does.
func switchedOn(v php.Value) bool {
	return v.Truthy() && !oneOf(strings.ToLower(v.Text), "off", "no", "false", "none", "stderr")
}

// spoken says what a true value is. The text 'false' is true, too.
func spoken(v php.Value) string {
	if v.Kind == php.String && oneOf(strings.ToLower(v.Text), "false", "off", "no") {
		return fmt.Sprintf("the text '%s', which PHP takes for true", printable.Clean(v.Text))
	}
	return "true"
}

// judgeEnvironment is C09.
func judgeEnvironment(c *checker, config *wpconfig.Config) {
	if k, ok := config.Get("WP_ENVIRONMENT_TYPE"); ok && k.Value.Literal() && k.Value.Text != "production" {
		c.warn("C09", atConstant(k), "WP_ENVIRONMENT_TYPE is %q", printable.Cut(printable.Clean(k.Value.Text), 40))
	}
	if k, ok := config.Get("WP_DEVELOPMENT_MODE"); ok && k.Value.Literal() {
		c.warn("C09", atConstant(k), "WP_DEVELOPMENT_MODE is %q", printable.Cut(printable.Clean(k.Value.Text), 40))
	}
}

// judgeFileAccess is C10.
func judgeFileAccess(c *checker, config *wpconfig.Config) {
	for _, k := range config.Constants {
		if k.Name == "FS_METHOD" || strings.HasPrefix(k.Name, "FTP_") || strings.HasPrefix(k.Name, "FS_CHMOD_") {
			c.warn("C10", atConstant(k), "%s is set", printable.Clean(k.Name))
		}
	}
}

// judgeCaches is C11 and C12.
func judgeCaches(c *checker, config *wpconfig.Config) {
	if k, ok := config.Get("WP_CACHE"); ok && k.Value.Truthy() && !c.has(path.Join(c.site.Content, "advanced-cache.php")) {
		c.warn("C11", atConstant(k), "WP_CACHE is %s, and there is no advanced-cache.php", spoken(k.Value))
	}
	for _, name := range []string{"WP_REDIS_HOST", "WP_REDIS_SERVERS", "WP_REDIS_CLUSTER", "WP_MEMCACHED_HOST"} {
		if k, ok := config.Get(name); ok && k.Value.Literal() {
			c.warn("C12", atConstant(k), "%s is written in the tree", name)
		}
	}
	if v, ok := config.Variable("memcached_servers"); ok && !slices.ContainsFunc(v.Source, fromEnvironment) && slices.ContainsFunc(v.Source, hostPort) {
		c.warn("C12", atConstant(v), "$memcached_servers is written in the tree")
	}
	_, salt := config.Get("WP_CACHE_KEY_SALT")
	_, prefix := config.Get("WP_REDIS_PREFIX")
	if dropIn := path.Join(c.site.Content, "object-cache.php"); c.has(dropIn) && !salt && !prefix && !config.MayDefineElsewhere() {
		c.warn("C12", at(config.Path), "there is an object cache, and neither WP_CACHE_KEY_SALT nor WP_REDIS_PREFIX is defined")
	}
}

func fromEnvironment(s string) bool {
	return oneOf(strings.ToLower(s), "getenv", "env", "_env", "_server")
}

func hostPort(s string) bool { return strings.Contains(s, ":") }

// judgeContent is C13.
func judgeContent(c *checker, config *wpconfig.Config) {
	for _, name := range []string{"WP_CONTENT_DIR", "WP_PLUGIN_DIR", "WPMU_PLUGIN_DIR", "WP_LANG_DIR"} {
		k, ok := config.Get(name)
		if !ok || k.Value.Kind != php.String {
			continue
		}
		_, inside := k.Value.InTree()
		switch {
		case inside:
		case name == "WP_LANG_DIR":
			c.warn("C13", atConstant(k), "%s leads out of the tree", name)
		default:
			c.block("C13", atConstant(k), "%s leads out of the tree: nodes have no plugins or themes", name)
		}
	}
	if k, ok := config.Get("WP_TEMP_DIR"); ok {
		if _, inside := k.Value.InTree(); inside {
			c.warn("C13", atConstant(k), "WP_TEMP_DIR is in the tree, which is read-only on a node")
		}
	}
	if k, ok := config.Get("UPLOADS"); ok && strings.HasPrefix(k.Value.Text, "/") && !k.Value.Tree {
		c.warn("C13", atConstant(k), "UPLOADS is an absolute path, and is meant relative to ABSPATH")
	}
}

// judgeSessions is C14.
func judgeSessions(c *checker) {
	if c.site == nil || c.Node != nil && c.Node.SharesSessions() {
		return
	}
	for _, x := range slices.Concat(c.site.Plugins, c.site.Themes) {
		if x.Dir == "" {
			continue
		}
		p, n := c.firstMark(x.Dir, markSession)
		switch {
		case n == 0:
		case c.Node != nil && len(c.Node.INI) > 0:
			c.block("C14", p, "%s uses PHP sessions, and the nodes keep them in files", x.Slug)
		default:
			c.warn("C14", p, "%s uses PHP sessions, which nodes must share", x.Slug)
		}
	}
}

// judgeMultisite is C16.
func judgeMultisite(c *checker, config *wpconfig.Config) {
	k, ok := config.Get("MULTISITE")
	if ok && k.Value.Truthy() && !config.MayDefineElsewhere() {
		for _, name := range []string{"SUBDOMAIN_INSTALL", "DOMAIN_CURRENT_SITE", "PATH_CURRENT_SITE"} {
			if _, ok := config.Get(name); !ok {
				c.warn("C16", atConstant(k), "MULTISITE is true, and %s is not defined", name)
			}
		}
	}
	if k, ok := config.Get("SUNRISE"); ok && !k.Value.Falsy() && !c.has(path.Join(c.site.Content, "sunrise.php")) {
		c.warn("C16", atConstant(k), "SUNRISE is defined, and there is no sunrise.php")
	}
}

// judgeOutside is C18.
func judgeOutside(c *checker, config *wpconfig.Config) {
	if _, ok := config.Get("WP_HTTP_BLOCK_EXTERNAL"); !ok {
		c.info("C18", at(config.Path), "WP_HTTP_BLOCK_EXTERNAL is not defined")
	}
}

// judgeUploadPath is C20.
func judgeUploadPath(c *checker) {
	if c.Database == nil {
		return
	}
	for _, option := range []struct{ name, value string }{
		{"upload_path", c.Database.UploadPath}, {"upload_url_path", c.Database.UploadURLPath},
	} {
		if option.value != "" && option.value != "wp-content/uploads" {
			c.block("C20", at("."), "the option %s of the database is %q", option.name, printable.Cut(printable.Clean(option.value), 100))
		}
	}
}
