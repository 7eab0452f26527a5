package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/wpbake/wpbake/internal/cli"
)

// scriptExit runs a program and wants exactly this exit code: exit CODE PROGRAM ARGS...
func scriptExit(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exit CODE PROGRAM [ARGS...]")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	got := 0
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		got = exit.ExitCode()
	} else if err != nil {
		ts.Fatalf("%v", err)
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

// scriptAwait runs a program until its stdout matches: await REGEXP PROGRAM ARGS...
func scriptAwait(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: await REGEXP PROGRAM [ARGS...]")
	}
	pattern, err := regexp.Compile("(?m)" + args[0])
	ts.Check(err)
	deadline := time.Now().Add(2 * time.Minute)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for range tick.C {
		if err := ts.Exec(args[1], args[2:]...); err == nil && pattern.MatchString(ts.ReadFile("stdout")) {
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("%q never printed %q", args[1:], args[0])
		}
	}
}

// scriptFifo makes a named pipe: fifo PATH
func scriptFifo(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: fifo PATH")
	}
	ts.Check(syscall.Mkfifo(ts.MkAbs(args[0]), 0o644))
}

// scriptSite writes a small tree that is WordPress: site DIR
func scriptSite(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: site DIR")
	}
	dir := ts.MkAbs(args[0])
	for name, content := range siteFiles() {
		path := filepath.Join(dir, name)
		ts.Check(os.MkdirAll(filepath.Dir(path), 0o755))
		ts.Check(os.WriteFile(path, []byte(content), 0o644))
	}
}

func siteFiles() map[string]string {
	return map[string]string{
		"index.php":          "<?php\ndefine( 'WP_USE_THEMES', true );\nrequire __DIR__ . '/wp-blog-header.php';\n",
		"wp-blog-header.php": "<?php\nrequire_once __DIR__ . '/wp-load.php';\n",
		"wp-load.php":        "<?php\nrequire_once __DIR__ . '/wp-config.php';\n",
		"wp-settings.php":    "<?php\nrequire ABSPATH . 'wp-includes/version.php';\n",
		"wp-login.php":       "<?php\nrequire __DIR__ . '/wp-load.php';\n",
		"wp-config.php":      siteConfig(),
		"wp-admin/index.php": "<?php\n",
		"wp-includes/version.php": "<?php\n$wp_version = '6.8.3';\n$wp_db_version = 60421;\n" +
			"$tinymce_version = '49110-20250317';\n$required_php_version = '7.2.24';\n$required_mysql_version = '5.5.5';\n",
		"wp-content/index.php":                    "<?php\n// Silence is golden.\n",
		"wp-content/themes/shop/style.css":        "/*\nTheme Name: Shop\nVersion: 1.0\n*/\n",
		"wp-content/themes/shop/index.php":        "<?php\necho 'shop';\n",
		"wp-content/plugins/cart/cart.php":        "<?php\n/*\nPlugin Name: Cart\nVersion: 2.1\n*/\n",
		"wp-content/plugins/cart/assets/cart.css": "body {}\n",
	}
}

// siteConfig is a wp-config.php that nothing is said about, whoever runs cron.
func siteConfig() string {
	var b strings.Builder
	b.WriteString("<?php\n")
	for name := range strings.FieldsSeq("DB_NAME DB_USER DB_PASSWORD DB_HOST WP_HOME WP_SITEURL " +
		"AUTH_KEY SECURE_AUTH_KEY LOGGED_IN_KEY NONCE_KEY AUTH_SALT SECURE_AUTH_SALT LOGGED_IN_SALT NONCE_SALT") {
		fmt.Fprintf(&b, "define( '%s', getenv( '%s' ) );\n", name, name)
	}
	b.WriteString("define( 'DISALLOW_FILE_MODS', true );\ndefine( 'WP_HTTP_BLOCK_EXTERNAL', true );\n" +
		"$table_prefix = 'wp_';\nrequire_once ABSPATH . 'wp-settings.php';\n")
	return b.String()
}

// stopLocal ends a local cloud that a failed script left running.
func stopLocal(stateHome string) {
	quiet := &cli.Output{Stdout: io.Discard, Stderr: io.Discard, Now: time.Now}
	runLocalStop(context.Background(), quiet, localPlace{dir: filepath.Join(stateHome, "wpbake", "local")})
}
