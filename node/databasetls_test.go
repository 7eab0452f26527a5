package node

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/wpbake/wpbake/internal/tier"
	"github.com/wpbake/wpbake/wordpress/database"
)

// Only what stays on the machine is spoken to in plain, but by the setting.
func TestDatabaseIsPlainOnlyWhereNobodyListens(t *testing.T) {
	for host, plain := range map[string]bool{
		"localhost:/run/mysqld/mysqld.sock": true, "/run/mysqld/mysqld.sock": true, "127.0.0.1": true, "127.8.9.1:3307": true,
		"[::1]:3306": true, "::1": true, "localhost:3306": true,
		"db.internal": false, "10.0.0.5": false, "10.0.0.5:3307": false, "localhost.evil.example": false, "127.0.0.1.evil.example": false,
		"[fd00::1]:3306": false, "0.0.0.0": false, "LOCALHOST": false,
	} {
		network, address := databaseAddress(host)
		c, err := Database{}.tls(network, address)
		if err != nil || (c == nil) != plain {
			t.Errorf("%s: plain is %v, want %v: %v", host, c == nil, plain, err)
		}
		if c != nil && (c.InsecureSkipVerify || c.ServerName == "" || c.RootCAs != nil) {
			t.Errorf("%s: not verified by the system's authorities", host)
		}
		if c, err := (Database{Plain: true}).tls(network, address); c != nil || err != nil {
			t.Errorf("%s: not plain by the setting: %v", host, err)
		}
	}
	empty := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(empty, []byte("no certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, ca := range []string{empty, empty + ".gone"} {
		if _, err := (Database{CA: ca}).tls("tcp", "db.internal:3306"); err == nil || !strings.Contains(err.Error(), "database.ca") {
			t.Errorf("%s: %v", ca, err)
		}
	}
}

// A real MariaDB at an address that is not loopback, with a certificate and
// without one.
func TestDatabaseIsVerified(t *testing.T) {
	address := ownAddress(t)
	ours, others := newAuthority(t), newAuthority(t)
	certificate, key := ours.issue(t, address)
	misnamed, misnamedKey := ours.issue(t, net.IPv4(192, 0, 2, 1))
	secure := startMariaDB(t, address, "--ssl-cert="+certificate, "--ssl-key="+key)
	wrongName := startMariaDB(t, address, "--ssl-cert="+misnamed, "--ssl-key="+misnamedKey)
	open := startMariaDB(t, address, "--skip-ssl")
	for _, tt := range []struct {
		name, host string
		security   Database
		unverified bool
	}{
		{"our authority", secure, Database{CA: ours.file}, false},
		{"another authority", secure, Database{CA: others.file}, true},
		{"the system's authorities", secure, Database{}, true},
		{"another host's certificate", wrongName, Database{CA: ours.file}, true},
		{"no TLS, though it can be verified elsewhere", open, Database{CA: ours.file}, true},
		{"no TLS", open, Database{}, true},
		{"no TLS, by the setting", open, Database{Plain: true}, false},
		{"TLS not used, by the setting", secure, Database{Plain: true}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := &site{config: database.Config{Host: tt.host, Name: "mysql", User: "shop", Password: "secret"}, security: tt.security}
			db, err := s.open()
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			var cipher string
			err = db.QueryRowContext(t.Context(), "SHOW STATUS LIKE 'Ssl_cipher'").Scan(new(string), &cipher)
			var unverified *UnverifiedDatabase
			switch {
			case tt.unverified && !errors.As(reaching(err), &unverified):
				t.Errorf("%v, cipher %q; want it refused", err, cipher)
			case !tt.unverified && err != nil:
				t.Error(err)
			case !tt.unverified && (cipher == "") != tt.security.Plain:
				t.Errorf("cipher %q", cipher)
			}
		})
	}
}

// ownAddress is one of this machine's that is not loopback.
func ownAddress(t *testing.T) net.IP {
	list, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range list {
		if n, ok := a.(*net.IPNet); ok && n.IP.To4() != nil && !n.IP.IsLoopback() {
			return n.IP
		}
	}
	t.Skip("this machine has no address but loopback")
	return nil
}

type authority struct {
	file string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) authority {
	key := newKey(t)
	c := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority"}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return authority{writePEM(t, "CERTIFICATE", der), c, key}
}

func (a authority) issue(t *testing.T, ip net.IP) (certificate, keyFile string) {
	key := newKey(t)
	c := &x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "db"}, NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{ip}}
	der, err := x509.CreateCertificate(rand.Reader, c, a.cert, &key.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return writePEM(t, "CERTIFICATE", der), writePEM(t, "EC PRIVATE KEY", private)
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func writePEM(t *testing.T, kind string, der []byte) string {
	name := filepath.Join(t.TempDir(), "x.pem")
	if err := os.WriteFile(name, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// startMariaDB returns host:port of a new server with the user shop.
func startMariaDB(t *testing.T, ip net.IP, options ...string) string {
	tier.Program(t, "mariadbd")
	tier.Program(t, "mariadb-install-db")
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	data := filepath.Join(dir, "data")
	common := []string{"--no-defaults", "--datadir=" + data, "--user=" + me.Username}
	install := exec.Command("mariadb-install-db", append(common, "--auth-root-authentication-method=normal", "--skip-test-db")...)
	if out, err := install.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	sql := filepath.Join(dir, "init.sql")
	if err := os.WriteFile(sql, []byte("GRANT SELECT ON *.* TO shop@'%' IDENTIFIED BY 'secret';\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	free, err := net.Listen("tcp", net.JoinHostPort(ip.String(), "0"))
	if err != nil {
		t.Fatal(err)
	}
	address := free.Addr().String()
	free.Close()
	_, port, _ := net.SplitHostPort(address)
	ctx, cancel := context.WithCancel(context.Background())
	server := exec.CommandContext(ctx, "mariadbd", append(append(common, "--socket="+filepath.Join(dir, "s"), "--bind-address="+ip.String(), "--port="+port,
		"--skip-name-resolve", "--skip-log-bin", "--innodb-buffer-pool-size=8M", "--init-file="+sql), options...)...)
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	server.Stderr = log
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cancel(); server.Wait(); log.Close() })
	for range 300 {
		if c, err := net.DialTimeout("tcp", address, time.Second); err == nil {
			c.Close()
			return address
		}
		time.Sleep(100 * time.Millisecond)
	}
	said, _ := os.ReadFile(log.Name())
	t.Fatal(fmt.Errorf("mariadbd does not listen\n%s", said))
	return ""
}
