package rules

import (
	"regexp"
	"slices"
	"strings"

	"github.com/wpbake/wpbake/wordpress/internal/printable"
	"github.com/wpbake/wpbake/wordpress/php"
	"github.com/wpbake/wpbake/wordpress/wpconfig"
)

func credentialRules() []Rule {
	return []Rule{
		{
			ID: "C01", Title: "Database credentials in wp-config.php", Severities: blocks(), Phase: InTree,
			Why:  "The artifact is then a credential: a new password needs a release, and staging and production cannot share one.",
			Fix:  "define( 'DB_PASSWORD', getenv( 'DB_PASSWORD' ) ); and the same for the others; php-fpm passes what its pool names in env[].",
			find: onConfig(credentials),
		},
		{
			ID: "C02", Title: "Keys and salts", Severities: blocksOrWarns(), Phase: InTree,
			Why:  "In the tree they are secrets in the artifact. Different by node or release, they log everybody out.",
			Fix:  "One set for each environment from the secret store, by getenv, unchanged across releases.",
			find: onConfig(salts),
		},
		{
			ID: "C10", Title: "Access to files (FS_METHOD, FTP_*)", Severities: warns(), Phase: InTree,
			Why:  "FTP credentials in the tree, for updates that must not happen on a node.",
			Fix:  "Remove it; DISALLOW_FILE_MODS makes it useless.",
			find: onConfig(fileAccess),
		},
		{
			ID: "C17", Title: "A database on the node", Severities: blocks(), Phase: InTree,
			Why:  "localhost or a socket is another, empty database on each node.",
			Fix:  "The endpoint of RDS, from the environment.",
			find: onConfig(ownDatabase),
		},
	}
}

// ownDatabase is C17.
func ownDatabase(config *wpconfig.Config) (h hits) {
	for _, k := range config.Constants {
		if isOwnHost(k) {
			h.block(atConstant(k), "DB_HOST is %q: a database on the node itself", printable.Cut(printable.Clean(k.Value.Text), 60))
		}
	}
	return h
}

func isOwnHost(k wpconfig.Constant) bool {
	host := k.Value.Text
	return k.Name == "DB_HOST" && k.Value.Literal() &&
		(strings.HasPrefix(host, "/") || strings.HasPrefix(host, "localhost") || strings.HasPrefix(host, "127.") ||
			strings.HasPrefix(host, ":/") || host == "::1" || strings.HasPrefix(host, "[::1]"))
}

var databaseURL = regexp.MustCompile(`(?i)(mysqli?|mariadb)://[^\s:/@]+:[^\s@]+@`)

// credentials is C01.
func credentials(config *wpconfig.Config) (h hits) {
	for _, k := range config.Constants {
		switch {
		case isOwnHost(k): // C17's
		case oneOf(k.Name, "DB_PASSWORD", "DB_USER", "DB_HOST", "DB_NAME") && k.Value.Literal():
			h.block(atConstant(k), "%s is written in the tree", k.Name)
		case k.Value.Literal() && databaseURL.MatchString(k.Value.Text):
			h.block(atConstant(k), "%s holds a database's address with its password", printable.Clean(k.Name))
		}
	}
	return h
}

var perNode = regexp.MustCompile(`(?i)^(rand|mt_rand|random_int|random_bytes|uniqid|gethostname|php_uname|microtime|time|getmypid|hostname|server_addr|instance.?id|wp_generate_password)$`)

// What wp-config-sample.php has in the place of keys and salts.
const placeholder = "put your unique phrase here"

// salts is C02.
func salts(config *wpconfig.Config) (h hits) {
	var literal, own, absent []place
	for _, name := range wpconfig.KeyNames() {
		k, ok := config.Get(name)
		switch {
		case !ok:
			absent = append(absent, at(config.Path))
		case k.Value.Kind == php.String && (k.Value.Text == "" || strings.Contains(k.Value.Text, placeholder)):
			absent = append(absent, atConstant(k))
		case slices.ContainsFunc(k.Source, perNode.MatchString):
			own = append(own, atConstant(k))
		}
	}
	for _, k := range config.Constants {
		if slices.Contains(wpconfig.KeyNames(), k.Name) && k.Value.Literal() && !strings.Contains(k.Value.Text, placeholder) {
			literal = append(literal, atConstant(k))
		}
	}
	if len(literal) > 0 {
		h.block(literal[0], "%d of the 8 keys and salts are written in the tree", len(literal))
	}
	if len(own) > 0 {
		h.block(own[0], "%d of the 8 keys and salts differ from node to node", len(own))
	}
	if len(absent) > 0 && !config.MayDefineElsewhere() {
		h.warn(absent[0], "%d of the 8 keys and salts are not set: WordPress keeps them in the database", len(absent))
	}
	return h
}

// fileAccess is C10.
func fileAccess(config *wpconfig.Config) (h hits) {
	for _, k := range config.Constants {
		if k.Name == "FS_METHOD" || strings.HasPrefix(k.Name, "FTP_") || strings.HasPrefix(k.Name, "FS_CHMOD_") {
			h.warn(atConstant(k), "%s is set", printable.Clean(k.Name))
		}
	}
	return h
}
