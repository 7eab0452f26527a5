package rules

import (
	"regexp"
	"strings"

	"github.com/wpbake/wpbake/wordpress/internal/printable"
	"github.com/wpbake/wpbake/wordpress/nodeconfig"
)

func nginxRules() []Rule {
	return []Rule{
		{
			ID: "D08", Title: "Dotfiles that the web server shows", Severities: warns(), Phase: InNode,
			Why:  "What begins with a dot is not meant for the public.",
			Fix:  "location ~ /\\.(?!well-known) { deny all; } in nginx.",
			find: onNode(dotfiles),
		},
		{
			ID: "N09", Title: "The port is lost on its way to PHP", Severities: warns(), Phase: InNode,
			Why:  "Debian's fastcgi_params sends $host, which has no port: a site on another port redirects to itself for ever.",
			Fix:  "fastcgi_param HTTP_HOST $http_host; after the include.",
			find: onNode(hostPort),
		},
		{
			ID: "N10", Title: "nginx", Severities: warns(), Phase: InNode,
			Why:  "Permalinks fail, PHP runs below uploads, uploads are refused, or the load balancer meets closed connections.",
			Fix:  "try_files $uri $uri/ /index.php?$args; deny PHP below uploads; client_max_body_size as large as PHP's; keepalive_timeout 75s; real_ip from the load balancer.",
			find: all(onNode(nginx), onNode(bodySize)),
		},
		{
			ID: "X11", Title: "A document root that changes with each release", Severities: warns(), Phase: InNode,
			Why:  "Database and caches remember absolute paths.",
			Fix:  "The same document root on every node and release: /srv/wordpress/current.",
			find: onNode(documentRoot),
		},
	}
}

// nginx is N10.
func nginx(node *nodeconfig.Config) (h hits) {
	if len(node.Nginx) == 0 {
		return nil
	}
	first := at(node.Nginx[0].Path)
	if !node.HasNginx("try_files", "/index.php") {
		h.warn(first, "no try_files ends in /index.php: permalinks are 404")
	}
	if !node.HasNginx("location", "uploads") {
		h.warn(first, "no location denies PHP below uploads")
	}
	if d, ok := nodeconfig.Last(node.Nginx, "keepalive_timeout"); ok && amount(strings.TrimRight(strings.Fields(d.Value + " 0")[0], "s")) <= 60 {
		h.warn(atDirective(d), "keepalive_timeout is %s, not above the load balancer's 60s", printable.Clean(d.Value))
	}
	if !node.HasNginx("real_ip_header", "") {
		h.warn(first, "real_ip_header is not set: PHP sees the load balancer as every visitor")
	}
	return h
}

// bodySize is N10 where nginx refuses uploads that PHP would take.
func bodySize(node *nodeconfig.Config) (h hits) {
	upload, ok := node.PHPSetting("upload_max_filesize")
	if !ok || len(node.Nginx) == 0 {
		return nil
	}
	body, set := nodeconfig.Last(node.Nginx, "client_max_body_size")
	switch {
	case !set && amount(upload.Value) > 1<<20:
		h.warn(at(node.Nginx[0].Path), "client_max_body_size is 1m, PHP takes uploads of %s", printable.Clean(upload.Value))
	case set && amount(body.Value) != 0 && amount(body.Value) < amount(upload.Value):
		h.warn(atDirective(body), "client_max_body_size is %s, PHP takes uploads of %s", printable.Clean(body.Value), printable.Clean(upload.Value))
	}
	return h
}

// dotfiles is D08.
func dotfiles(node *nodeconfig.Config) (h hits) {
	if len(node.Nginx) > 0 && !node.HasNginx("location", `/\.`) {
		h.warn(at(node.Nginx[0].Path), "no location denies files that begin with a dot")
	}
	return h
}

var statusPort = regexp.MustCompile(`^(\d+\.\d+\.\d+\.\d+:|\[.*\]:)?(\d+)\b`)

// hostPort is N09: it matters where the site is on no port of its own.
func hostPort(node *nodeconfig.Config) (h hits) {
	d, ok := nodeconfig.Last(node.Nginx, "fastcgi_param HTTP_HOST")
	for _, x := range node.Nginx {
		if x.Name == "fastcgi_param" && strings.HasPrefix(x.Value, "HTTP_HOST ") {
			d, ok = x, true
		}
	}
	if !ok || !strings.HasSuffix(d.Value, "$host") {
		return nil
	}
	for _, x := range node.Nginx {
		if m := statusPort.FindStringSubmatch(x.Value); x.Name == "listen" && m != nil && !oneOf(m[2], "80", "443") {
			h.warn(atDirective(d), "HTTP_HOST is $host, and the site listens on port %s", m[2])
			break
		}
	}
	return h
}

var versionedRoot = regexp.MustCompile(`/releases?/[^/$]+|/v\d+(/|$)|/\d{8,14}(/|$)`)

// documentRoot is X11.
func documentRoot(node *nodeconfig.Config) (h hits) {
	for _, d := range node.Nginx {
		if d.Name == "root" && versionedRoot.MatchString(d.Value) {
			h.warn(atDirective(d), "the document root %s names a release", printable.Clean(d.Value))
		}
	}
	return h
}

func bootRules() []Rule {
	return []Rule{
		{
			ID: "N04", Title: "No warm-up", Severities: warns(), Phase: InNode,
			Why:  "The first visitors of each node wait until PHP has compiled WordPress.",
			Fix:  "Leave warm out of node.yaml, or name pages: warm: [/, /wp-login.php, /shop/].",
			find: onNode(warmUp),
		},
		{
			ID: "N11", Title: "The gate", Severities: warns(), Phase: InNode,
			Why:  "Status 200 alone proves nothing: without its theme WordPress answers 200 with an empty page.",
			Fix:  "gate.body in node.yaml: a text that each page has.",
			find: onNode(gateBody),
		},
		{
			ID: "N12", Title: "Addresses that mislead as a health check", Severities: warns(), Phase: InNode,
			Why:  "wp-login.php and index.php redirect, wp-cron.php is 200 without a database, readme.html never meets PHP.",
			Fix:  "gate.url in node.yaml: the front page, with the site's Host and X-Forwarded-Proto.",
			find: onNode(gateURL),
		},
	}
}

// warmUp is N04.
func warmUp(node *nodeconfig.Config) (h hits) {
	if d, ok := nodeconfig.Last(node.Boot, "warm"); ok && d.Value == "[]" {
		h.warn(atDirective(d), "warm is empty")
	}
	return h
}

// gateBody is N11.
func gateBody(node *nodeconfig.Config) (h hits) {
	if len(node.Boot) == 0 {
		return nil
	}
	if d, ok := nodeconfig.Last(node.Boot, "gate.body"); !ok || d.Value == "" {
		h.warn(at(node.Boot[0].Path), "gate.body is not set: an empty page of a missing theme is not noticed by its text")
	}
	return h
}

// gateURL is N12.
func gateURL(node *nodeconfig.Config) (h hits) {
	if d, ok := nodeconfig.Last(node.Boot, "gate.url"); ok {
		for _, page := range []string{"/wp-login.php", "/index.php", "/wp-cron.php", "/readme.html", "/wp-admin"} {
			if strings.Contains(d.Value, page) {
				h.warn(atDirective(d), "the gate asks for %s", page)
			}
		}
	}
	return h
}
