package rules

import (
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/wpbake/wpbake/wordpress"
	"github.com/wpbake/wpbake/wordpress/scan"
)

func secretRules() []Rule {
	return []Rule{
		{
			ID: "T07", Title: "A dump, backup or archive", Severities: blocksOrWarns(), Phase: InTree,
			Why:  "Copies of the database and of old code lie in the document root, for anybody to download.",
			Fix:  "Move it out of the tree, or add it to exclude.",
			find: onAnySite(dumps),
		},
		{
			ID: "T08", Title: "A secret in a file", Severities: blocks(), Phase: InTree,
			Why:  "An artifact is kept for long, and copied to every node.",
			Fix:  "Move it to Parameter Store or Secrets Manager, and change the secret: it was in a tree.",
			find: onTree(secrets),
		},
	}
}

var (
	dumpNames   = regexp.MustCompile(`(?i)\.(sql|sql\.gz|sql\.bz2|sql\.zst|sql\.zip|dump|wpress|daf|jpa)$`)
	backupNames = regexp.MustCompile(`(?i)(\.(bak|old|orig|save|swp|tar|tgz|tar\.gz|tar\.bz2|tar\.xz|7z|rar|zip)|~)$`)
	configCopy  = regexp.MustCompile(`(?i)^wp-config.*\.php`)
)

const largeArchive = 1 << 20

// dumps is T07. Plugins and themes bring archives and tables of their own.
func dumps(tree *scan.Tree, site *wordpress.Site) (h hits) {
	for i := range tree.Files {
		f := &tree.Files[i]
		if !f.Regular() || inVendor(f.Path) {
			continue
		}
		name, size := f.Base(), f.Info.Size()
		dump := dumpNames.MatchString(name)
		switch {
		case isConfigCopy(f, site):
			h.block(at(f.Path), "is a copy of the configuration")
		case !dump && !backupNames.MatchString(name):
		case inExtension(f.Path):
			h.warn(at(f.Path), "looks like a dump or an archive of %d KiB", size>>10)
		case dump || size > largeArchive:
			h.block(at(f.Path), "looks like a dump or an archive of %d KiB", size>>10)
		default:
			h.warn(at(f.Path), "looks like a backup of %d bytes", size)
		}
	}
	return h
}

// isConfigCopy reports wp-config.php.bak and its like. What the configuration
// itself requires is none.
func isConfigCopy(f *scan.File, site *wordpress.Site) bool {
	name := f.Base()
	if !configCopy.MatchString(name) || oneOf(name, "wp-config.php", "wp-config-sample.php") || inExtension(f.Path) {
		return false
	}
	return site == nil || site.Config == nil || !slices.Contains(site.Config.Files, f.Path)
}

// secrets is T08.
func secrets(tree *scan.Tree) (h hits) {
	for i := range tree.Files {
		f := &tree.Files[i]
		if isSecretDir(f) {
			h.block(at(f.Path), "is a directory of credentials")
			continue
		}
		if !f.Regular() || isFixture(f.Path) {
			continue
		}
		public := isPublicCertificate(f.Path)
		if !public && isSecretName(f.Base()) {
			h.block(at(f.Path), "holds secrets, by its name")
			continue
		}
		for _, m := range f.Matches {
			if what := secret(m.Signature); what != "" && !(public && m.Signature == scan.PrivateKey) {
				h.block(atMatch(f, m), "holds %s", what)
			}
		}
	}
	return h
}

// secret names what a signature shows, or nothing.
func secret(s scan.Signature) string {
	switch s {
	case scan.AccessKey:
		return "an AWS access key id"
	case scan.PrivateKey:
		return "a private key"
	case scan.CloudKey:
		return "a key of a cloud"
	case scan.PaymentKey:
		return "a key of a payment service or a shop"
	case scan.ServiceToken:
		return "a token of a mail, code or chat service"
	}
	return ""
}

func isSecretDir(f *scan.File) bool {
	return f.Info.IsDir() && oneOf(f.Base(), ".aws", ".ssh", ".gnupg")
}

func isSecretName(name string) bool {
	lower := strings.ToLower(name)
	switch path.Ext(lower) {
	case ".pem", ".key", ".p12", ".pfx", ".jks":
		return true
	}
	switch {
	case oneOf(lower, ".env", ".htpasswd", ".npmrc", "auth.json", "wp-cli.local.yml"):
		return true
	case strings.HasPrefix(lower, ".env."):
		return !oneOf(lower, ".env.example", ".env.sample", ".env.dist", ".env.pantheon")
	}
	return strings.HasPrefix(lower, "id_rsa") || strings.HasPrefix(lower, "id_ed25519")
}

// isFixture reports files of the tests of a package that Composer installed.
func isFixture(p string) bool {
	return inVendor(p) && (strings.Contains(p, "/tests/") || strings.Contains(p, "/test/"))
}

// isPublicCertificate reports what TLS clients trust, and code of packages that
// knows how a private key begins.
func isPublicCertificate(p string) bool {
	name := strings.ToLower(path.Base(p))
	return strings.Contains(p, "wp-includes/certificates/") || strings.HasPrefix(name, "ca-bundle") ||
		strings.HasPrefix(name, "cacert") || inVendor(p) && (strings.HasSuffix(name, ".php") || strings.Contains(name, "cacert"))
}
