package database_test

import (
	"cmp"
	"errors"
	"path"
	"strings"
	"testing"
	"testing/fstest"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/wpbake/wpbake/wordpress"
	"github.com/wpbake/wpbake/wordpress/database"
)

func environ(pairs ...string) func(string) (string, bool) {
	return func(name string) (string, bool) {
		for _, p := range pairs {
			if k, v, _ := strings.Cut(p, "="); k == name {
				return v, true
			}
		}
		return "", false
	}
}

// site is a tree with WordPress in the directory core.
func site(core string, more map[string]string) fstest.MapFS {
	m := fstest.MapFS{path.Join(core, wordpress.VersionFile): &fstest.MapFile{Data: []byte("<?php")}}
	for name, content := range more {
		m[name] = &fstest.MapFile{Data: []byte(content)}
	}
	return m
}

func TestReadConfig(t *testing.T) {
	env := environ("DB_HOST=db:3307", "DB_NAME=shop", "DB_USER=u", "DB_PASSWORD=p", "OTHER=elsewhere", "AUTH_KEY=k1", "NONCE_SALT=k2")
	for _, tt := range []struct {
		name, core, file, config string
		want                     database.Config
	}{
		{"everything by getenv", "", "wp-config.php", `<?php
			define( 'DB_HOST', getenv( 'DB_HOST' ) );
			define( 'DB_NAME', getenv('DB_NAME') ?: 'wordpress' );
			define('DB_USER', $_SERVER['DB_USER']);
			\define( "DB_PASSWORD", $_ENV["DB_PASSWORD"] ?? '' );
			define( 'AUTH_KEY', getenv( 'AUTH_KEY' ) );
			$table_prefix = 'shop_';`,
			database.Config{Host: "db:3307", Name: "shop", User: "u", Password: "p", Prefix: "shop_", Users: "shop_users", Keys: []string{"k1", "k2"}}},
		{"another variable, a fallback, literals", "", "wp-config.php", `<?php
			# define( 'DB_NAME', 'commented' );
			$x = "define( 'DB_NAME', 'quoted' )";
			define( 'DB_NAME', 'literal' ); define( 'DB_NAME', 'second' );
			define( 'DB_HOST', getenv( 'OTHER', true ) );
			define( 'DB_USER', getenv( 'NOBODY' ) ?: 'root' );
			define( 'AUTH_KEY', 'in the tree' );
			define( 'CUSTOM_USER_TABLE', 'people' );`,
			database.Config{Host: "elsewhere", Name: "literal", User: "u", Password: "p", Prefix: "wp_", Users: "people", Keys: []string{"in the tree", "k2"}, InTree: true}},
		{"Docker's way, a file that is required, and no password", "", "wp-config.php", `<?php
			define( 'DB_NAME', getenv_docker( 'WORDPRESS_DB_NAME', 'wordpress' ) );
			define( 'DB_PASSWORD', '' );
			define( 'DB_HOST', 'db' . ':3308' );
			if ( file_exists( __DIR__ . '/wp-config-local.php' ) ) {
				require __DIR__ . '/wp-config-local.php';
			}
			require_once ABSPATH . 'wp-settings.php';
			define( 'DB_USER', 'too late' );`,
			database.Config{Host: "db:3308", Name: "shop", User: "local", Prefix: "wp_", Users: "wp_users", Keys: []string{"k1", "k2"}}},
		{"computed values are looked up by name", "", "wp-config.php", `<?php
			define( 'DB_HOST', secret( 'host' ) . ':3306' );`,
			database.Config{Host: "db:3307", Name: "shop", User: "u", Password: "p", Prefix: "wp_", Users: "wp_users", Keys: []string{"k1", "k2"}}},
		{"bedrock", "web/wp", "config/application.php", `<?php
			Config::define('DB_NAME', env('DB_NAME'));
			Config::define('DB_HOST', env('DB_HOST') ?: 'localhost');
			$table_prefix = env('DB_PREFIX') ?: 'wp_';`,
			database.Config{Host: "db:3307", Name: "shop", User: "u", Password: "p", Prefix: "wp_", Users: "wp_users", Keys: []string{"k1", "k2"}}},
		{"one directory above", "wp", "wp-config.php", `<?php define( 'DB_NAME', 'above' );`,
			database.Config{Host: "db:3307", Name: "above", User: "u", Password: "p", Prefix: "wp_", Users: "wp_users", Keys: []string{"k1", "k2"}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := database.ReadConfig(site(tt.core, map[string]string{tt.file: tt.config, "wp-config-local.php": "<?php define( 'DB_USER', 'local' );"}), env)
			if err != nil {
				t.Fatal(err)
			}
			tt.want.Core = cmp.Or(tt.core, ".")
			if d := gocmp.Diff(tt.want, got); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestReadConfigRefuses(t *testing.T) {
	_, err := database.ReadConfig(site("", map[string]string{"wp-config.php": `<?php define( 'DB_NAME', f() );`}), environ("DB_HOST=h", "DB_USER=u"))
	var none *database.NotConfigured
	if !errors.As(err, &none) || none.Missing != "DB_NAME" {
		t.Errorf("got %v, want DB_NAME missing", err)
	}
	_, err = database.ReadConfig(site("", map[string]string{"wp-config.php": "<?php $table_prefix = 'wp`; DROP'; "}), environ("DB_HOST=h", "DB_USER=u", "DB_NAME=n"))
	if err == nil {
		t.Error("a prefix that is no name was taken")
	}
}

func FuzzReadConfig(f *testing.F) {
	f.Add(`<?php define( 'DB_NAME', getenv( 'X' ) ?: 'y' ); $table_prefix = 'wp_';`)
	f.Add(`define('A',"b)//`)
	f.Fuzz(func(t *testing.T, config string) {
		c, err := database.ReadConfig(site("", map[string]string{"wp-config.php": config}), environ("DB_HOST=h", "DB_USER=u", "DB_NAME=n"))
		if err == nil && (c.Prefix == "" || strings.ContainsAny(c.Prefix+c.Users, "`'\"; ")) {
			t.Errorf("tables %q and %q from %q", c.Prefix, c.Users, config)
		}
	})
}
