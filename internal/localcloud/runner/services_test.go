//go:build linux

package runner_test

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/wpbake/wpbake/internal/localcloud/ec2"
	"github.com/wpbake/wpbake/internal/localcloud/runner"
	"github.com/wpbake/wpbake/internal/tier"
)

// phpScript starts PHP-FPM and nginx as daemons, as packages would.
const phpScript = `#!/bin/sh
set -eu
site=$INSTANCE_ROOT/srv/site
mkdir -p "$site" "$INSTANCE_ROOT/run" "$INSTANCE_ROOT/var/log"
echo '<?php echo "php ", getenv("WHO");' >"$site/index.php"
cat >"$INSTANCE_ROOT/etc/test-fpm.conf" <<END
[global]
error_log = $INSTANCE_ROOT/var/log/test-fpm.log
pid = $INSTANCE_ROOT/run/test-fpm.pid
[www]
listen = $INSTANCE_ADDRESS:9000
pm = static
pm.max_children = 2
env[WHO] = $INSTANCE_ID
$([ "$(id -u)" -ne 0 ] || echo "user = root")
$([ "$(id -u)" -ne 0 ] || echo "group = root")
END
cat >"$INSTANCE_ROOT/etc/test-nginx.conf" <<END
pid $INSTANCE_ROOT/run/test-nginx.pid;
error_log $INSTANCE_ROOT/var/log/test-nginx.log;
events {}
http {
	access_log off;
	client_body_temp_path $INSTANCE_ROOT/run/body;
	proxy_temp_path $INSTANCE_ROOT/run/proxy;
	fastcgi_temp_path $INSTANCE_ROOT/run/fastcgi;
	uwsgi_temp_path $INSTANCE_ROOT/run/uwsgi;
	scgi_temp_path $INSTANCE_ROOT/run/scgi;
	server {
		listen $INSTANCE_ADDRESS:8080;
		location / {
			fastcgi_pass $INSTANCE_ADDRESS:9000;
			fastcgi_param SCRIPT_FILENAME $site/index.php;
			fastcgi_param REQUEST_METHOD \$request_method;
		}
	}
}
END
for fpm in /usr/sbin/php-fpm*; do "$fpm" --daemonize --allow-to-run-as-root --fpm-config "$INSTANCE_ROOT/etc/test-fpm.conf"; break; done
nginx -e stderr -c "$INSTANCE_ROOT/etc/test-nginx.conf"
echo started
`

func haveServices() bool {
	_, err := exec.LookPath("nginx")
	found, _ := exec.Command("/bin/sh", "-c", "ls /usr/sbin/php-fpm*").Output()
	return err == nil && len(found) > 0
}

// TestRealServices ends daemons that overwrite their own environment.
func TestRealServices(t *testing.T) {
	tier.Need(t, "php", haveServices())
	eachKind(t, func(t *testing.T, r *runner.Runner) {
		const address = "127.77.0.11"
		for _, end := range []func(ec2.Process) error{
			func(p ec2.Process) error { return p.Stop(t.Context()) }, ec2.Process.Kill,
		} {
			p := start(t, r, ec2.Machine{ID: "i-php", Address: address, UserData: []byte(phpScript)})
			eventually(t, "the end of user data", func() bool { return strings.Contains(string(p.Console()), "started") })
			if got := ask(address); got != "php i-php" {
				t.Fatalf("answered %q; console:\n%s", got, p.Console())
			}
			if err := end(p); err != nil {
				t.Fatal(err)
			}
			if !refuses(address) {
				t.Error("nginx lives on")
			}
		}
	})
}
