package node

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"

	"github.com/go-sql-driver/mysql"
)

// Database is how connections to the site's database are kept from others.
type Database struct {
	CA    string `yaml:"ca"`    // file of the authorities, in PEM, that may vouch for the server; empty means the system's
	Plain bool   `yaml:"plain"` // no TLS: the network in between is trusted
}

// tls is how a server is spoken to: nil is in plain, which only what stays on
// this machine and the setting that says so get. A server that offers no TLS
// gets no password, whatever it says.
func (d Database) tls(network, address string) (*tls.Config, error) {
	if network == "unix" || d.Plain {
		return nil, nil
	}
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, fmt.Errorf("reading DB_HOST: %w", err)
	}
	if ip := net.ParseIP(host); host == "localhost" || ip != nil && ip.IsLoopback() {
		return nil, nil
	}
	c := &tls.Config{ServerName: host, MinVersion: tls.VersionTLS12}
	if d.CA == "" {
		return c, nil
	}
	pem, err := os.ReadFile(d.CA)
	if err != nil {
		return nil, fmt.Errorf("reading database.ca: %w", err)
	}
	c.RootCAs = x509.NewCertPool()
	if !c.RootCAs.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("reading database.ca: %q holds no certificate in PEM", d.CA)
	}
	return c, nil
}

// UnverifiedDatabase is a database server that could not prove who it is.
// Nothing was sent to it.
type UnverifiedDatabase struct{ err error }

func (e *UnverifiedDatabase) Error() string { return "reaching the database: " + e.err.Error() }
func (e *UnverifiedDatabase) Unwrap() error { return e.err }

// Hint says what would prove it, and how to go on without.
func (e *UnverifiedDatabase) Hint() string {
	return "database.ca in node.yaml names the authority of its certificate, for RDS the file global-bundle.pem of AWS; database.plain: true does without TLS"
}

// reaching names what kept this node from its database.
func reaching(err error) error {
	var certificate *tls.CertificateVerificationError
	if errors.Is(err, mysql.ErrNoTLS) || errors.As(err, &certificate) {
		return &UnverifiedDatabase{err}
	}
	return fmt.Errorf("reaching the database: %w", err)
}
