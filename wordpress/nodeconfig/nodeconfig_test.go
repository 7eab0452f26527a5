package nodeconfig_test

import (
	"fmt"
	"slices"
	"testing"
	"testing/fstest"

	"github.com/wpbake/wpbake/wordpress/nodeconfig"
)

func read(t *testing.T, files map[string]string) *nodeconfig.Config {
	t.Helper()
	m := fstest.MapFS{}
	for name, content := range files {
		m[name] = &fstest.MapFile{Data: []byte(content)}
	}
	c, err := nodeconfig.Read(m, "etc")
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func node(t *testing.T) *nodeconfig.Config {
	return read(t, map[string]string{
		"nginx/sites-enabled/shop":               "server {\n  root /srv/wordpress/current/; # the release\n  location ~ /\\.(?!well-known) { deny all; }\n  fastcgi_param HTTPS $forwarded_https if_not_empty;\n}\n",
		"nginx/sites-available/old":              "root /old;",
		"nginx/mime.types":                       "types { text/css css; }",
		"php/8.2/fpm/php.ini":                    "; a comment\n[PHP]\nmemory_limit = 128M\nerror_log = \"/var/log/php.log\"\nsession.save_handler = redis\n",
		"php/8.2/fpm/conf.d/20-all.ini":          "extension=mysqli.so\nextension = php_gd.so\nzend_extension=opcache\n",
		"php/8.2/cli/php.ini":                    "memory_limit = -1\n",
		"php/8.2/fpm/pool.d/www.conf":            "[www]\nphp_admin_value[memory_limit] = 256M\npm = static\npm = dynamic\n",
		"systemd/system/php-fpm.service.d/x.ini": "KillMode=mixed\n",
		"wpbake/node.yaml":                       "# ours\nwarm: [/]\ngate:\n  url: http://127.0.0.1/\nother: x\n",
	})
}

func TestRead(t *testing.T) {
	c := node(t)
	if c.PHP != "8.2" || !slices.Equal(c.Extensions, []string{"mysqli", "gd", "opcache"}) {
		t.Errorf("PHP %q with %q", c.PHP, c.Extensions)
	}
	for name, want := range map[string]nodeconfig.Directive{
		"memory_limit": {Name: "php_admin_value[memory_limit]", Value: "256M", Path: "etc/php/8.2/fpm/pool.d/www.conf", Line: 2}, // the pool's counts
		"error_log":    {Name: "error_log", Value: "/var/log/php.log", Path: "etc/php/8.2/fpm/php.ini", Line: 4},
	} {
		if got, ok := c.PHPSetting(name); !ok || got != want {
			t.Errorf("%s is %+v, want %+v", name, got, want)
		}
	}
	if d, ok := nodeconfig.Last(c.Pool, "pm"); !ok || d.Value != "dynamic" {
		t.Errorf("pm is %+v", d)
	}
	if d, ok := nodeconfig.Last(c.Boot, "gate.url"); !ok || d.Line != 4 {
		t.Errorf("the gate is %+v of %+v", d, c.Boot)
	}
	if _, ok := nodeconfig.Last(c.Boot, "gate.other"); ok {
		t.Error("what stands behind a block is taken into it")
	}
	for _, d := range c.Nginx {
		if d.Value == "/old" || d.Name == "types" {
			t.Errorf("nginx does not read %+v", d)
		}
	}
}

func TestQuestions(t *testing.T) {
	c := node(t)
	for what, got := range map[string]bool{
		"HTTPS comes from the load balancer":     c.MapsProto(),
		"sessions are shared":                    c.SharesSessions(),
		"gd is loaded":                           c.Loads("gd"),
		"json is built in":                       c.Loads("json"),
		"imagick is not loaded":                  !c.Loads("imagick"),
		"the root is inside itself":              c.InRoot("/srv/wordpress/current"),
		"a file is inside the root":              c.InRoot("/srv/wordpress/current/wp-content/cache"),
		"a directory beside it is not":           !c.InRoot("/srv/wordpress/current2"),
		"a location names dotfiles":              c.HasNginx("location", `/\.`),
		"no location names uploads":              !c.HasNginx("location", "uploads"),
		"a comment of nginx is no directive":     !c.HasNginx("#", ""),
		"nothing is known of an empty one":       !read(t, nil).SharesSessions() && !read(t, nil).MapsProto(),
		"sessions in files are shared by nobody": !read(t, map[string]string{"php.ini": "session.save_handler = files"}).SharesSessions(),
	} {
		if !got {
			t.Errorf("not: %s", what)
		}
	}
}

// A directory of thousands of files is something else than a node's
// configuration.
func TestReadEnds(t *testing.T) {
	m := fstest.MapFS{}
	for i := range 2001 {
		m[fmt.Sprintf("%d.ini", i)] = &fstest.MapFile{}
	}
	if _, err := nodeconfig.Read(m, "etc"); err == nil {
		t.Error("all of them were read")
	}
}

func FuzzRead(f *testing.F) {
	f.Add("server {\n  root /srv; # x\n}\n", "a = b\n[x]\n c : d\n")
	f.Fuzz(func(t *testing.T, nginx, ini string) {
		c := read(t, map[string]string{"nginx/a.conf": nginx, "a.ini": ini, "node.yaml": ini, "fpm/a.conf": ini})
		for _, d := range slices.Concat(c.Nginx, c.INI, c.Boot, c.Pool) {
			if d.Line < 1 || d.Path == "" {
				t.Errorf("%+v", d)
			}
		}
	})
}
