package e2e

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// settings is what WordPress takes from its environment; on a node it comes
// from the parameter store.
type settings map[string]string

// newSettings makes up the secrets of one site.
func newSettings(site, database string) settings {
	s := settings{
		"WP_HOME": site,
		"DB_HOST": database, "DB_NAME": "wordpress", "DB_USER": "wordpress", "DB_PASSWORD": secret(),
	}
	for _, key := range []string{"AUTH", "SECURE_AUTH", "LOGGED_IN", "NONCE"} {
		s[key+"_KEY"], s[key+"_SALT"] = secret(), secret()
	}
	return s
}

// environ is s for a process.
func (s settings) environ() []string {
	var env []string
	for k, v := range s {
		env = append(env, k+"="+v)
	}
	return env
}

func secret() string {
	b := make([]byte, 16)
	rand.Read(b)
	return hex.EncodeToString(b)
}

// freePort finds a loopback port that nobody uses.
func freePort() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("looking for a free port: %w", err)
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	return port, err
}

// startDatabase makes an empty MariaDB below dir with the database and the
// user of s, and waits until it answers at s's address.
func startDatabase(ctx context.Context, dir string, s settings) (*process, error) {
	install := exec.CommandContext(ctx, "mariadb-install-db", append(databaseUser(), "--no-defaults", "--datadir="+filepath.Join(dir, "mariadb"),
		"--auth-root-authentication-method=normal", "--skip-test-db")...)
	if out, err := install.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("making an empty database: %w\n%s", err, out)
	}
	boot := filepath.Join(dir, "mariadb.sql")
	sql := fmt.Sprintf("CREATE DATABASE %s CHARACTER SET utf8mb4;\nCREATE USER %s@'127.0.0.1' IDENTIFIED BY '%s';\nGRANT ALL ON %s.* TO %s@'127.0.0.1';\n",
		s["DB_NAME"], s["DB_USER"], s["DB_PASSWORD"], s["DB_NAME"], s["DB_USER"])
	if err := os.WriteFile(boot, []byte(sql), 0o600); err != nil {
		return nil, fmt.Errorf("making an empty database: %w", err)
	}
	return runDatabase(ctx, dir, s, "--init-file="+boot)
}

// databaseUser is an argument that MariaDB wants from root.
func databaseUser() []string {
	if os.Getuid() != 0 {
		return nil
	}
	return []string{"--user=root"}
}

// runDatabase starts the MariaDB below dir and waits until it answers.
func runDatabase(ctx context.Context, dir string, s settings, args ...string) (*process, error) {
	host, port, err := net.SplitHostPort(s["DB_HOST"])
	if err != nil {
		return nil, err
	}
	// The socket is named relative to the data directory: a socket's path may
	// have 107 bytes, a directory's more.
	argv := append([]string{server("mariadbd"), "--no-defaults", "--datadir=" + filepath.Join(dir, "mariadb")}, args...)
	argv = append(argv, databaseUser()...)
	p, err := spawn(dir, "mariadb", append(argv, "--socket=mysql.sock", "--pid-file="+filepath.Join(dir, "mariadb.pid"),
		"--bind-address="+host, "--port="+port, "--skip-name-resolve", "--skip-log-bin", "--innodb-buffer-pool-size=128M",
		"--innodb-log-file-size=16M", "--innodb-flush-log-at-trx-commit=2", "--performance-schema=OFF")...)
	if err != nil {
		return nil, err
	}
	return p, p.ready(ctx, func(ctx context.Context) error { return greets(ctx, s["DB_HOST"]) })
}

// greets reports whether the database at address opens the conversation, which
// it does only after its init file has run.
func greets(ctx context.Context, address string) error {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
	if err != nil {
		return err
	}
	defer conn.Close()
	_, err = conn.Read(make([]byte, 1))
	return err
}

// startSessions starts the memcached that keeps PHP's sessions.
func startSessions(ctx context.Context, dir, address string) (*process, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	argv := []string{server("memcached"), "-l", host, "-p", port, "-U", "0", "-m", "32", "-P", filepath.Join(dir, "memcached.pid")}
	if os.Getuid() == 0 {
		argv = append(argv, "-u", "root")
	}
	p, err := spawn(dir, "memcached", argv...)
	if err != nil {
		return nil, err
	}
	return p, p.ready(ctx, func(ctx context.Context) error {
		conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
		if err != nil {
			return err
		}
		defer conn.Close()
		fmt.Fprint(conn, "version\r\n")
		line, err := bufio.NewReader(conn).ReadString('\n')
		if err == nil && !strings.HasPrefix(line, "VERSION ") {
			err = fmt.Errorf("it answers %q", line)
		}
		return err
	})
}

// server finds a program that an ordinary user's PATH may not hold.
func server(name string) string {
	for _, dir := range []string{"/usr/sbin", "/sbin"} {
		if path := filepath.Join(dir, name); executable(path) {
			return path
		}
	}
	return name
}

func executable(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode()&0o111 != 0
}
