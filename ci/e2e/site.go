package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Site is a WordPress and its database without any node, for tests of what
// needs no fleet.
type Site struct {
	Environ map[string]string // what WordPress takes from its environment
	server  *process
}

// StartSite starts a MariaDB in dir, which must exist, and installs the
// WordPress of tree into it.
func StartSite(ctx context.Context, dir, tree string) (*Site, error) {
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	vars := newSettings("http://127.0.0.1:8080", "127.0.0.1:"+port)
	server, err := startDatabase(ctx, dir, vars)
	s := &Site{Environ: vars, server: server}
	if err == nil {
		err = install(ctx, dir, tree, vars)
	}
	if err != nil {
		s.Stop()
		return nil, err
	}
	return s, nil
}

// Stop ends the database.
func (s *Site) Stop() {
	if s.server != nil {
		s.server.stop()
	}
}

// RaiseSchema makes the WordPress of a tree one for a newer schema: its own
// upgrade then runs for real.
func RaiseSchema(tree string, from, to int) error {
	name := filepath.Join(tree, "wp-includes", "version.php")
	src, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	before, after, ok := strings.Cut(string(src), fmt.Sprintf("$wp_db_version = %d;", from))
	if !ok {
		return fmt.Errorf("raising the schema of %q: it is not for %d", tree, from)
	}
	return os.WriteFile(name, fmt.Appendf(nil, "%s$wp_db_version = %d;%s", before, to, after), 0o644)
}
