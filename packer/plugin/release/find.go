// Package release brings published releases into images: the data source finds
// one, the provisioner installs it. Both drive the wpbake program.
package release

import (
	"context"
	"fmt"
	"regexp"
	"strings"

	"github.com/wpbake/wpbake/packer/plugin/program"
)

// Found is a version as the store has it.
type Found struct {
	Version  string `json:"version"`
	Manifest string `json:"manifest"` // its digest: the release's identity
}

// Find asks the wpbake program for a published version.
func Find(ctx context.Context, wpbake, store, version string) (Found, error) {
	args := []string{"show", version, "--json"}
	if store != "" {
		args = append(args, "--store", store)
	}
	var found Found
	if err := program.Ask(ctx, wpbake, &found, args...); err != nil {
		return Found{}, fmt.Errorf("looking up version %q: %w", version, err)
	}
	return found, checkManifest(found.Manifest)
}

// checkVersion refuses what would be no single word for a shell.
func checkVersion(version string) error {
	if !regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$`).MatchString(version) {
		return fmt.Errorf("version %q: must be 1 to 63 letters, digits, dots, dashes and underscores", version)
	}
	return nil
}

func checkManifest(digest string) error {
	if !regexp.MustCompile(`^sha256:[0-9a-f]{64}$`).MatchString(digest) {
		return fmt.Errorf("manifest %q: must be sha256: and 64 hexadecimal digits", digest)
	}
	return nil
}

// short is how a release's directory on a node is called.
func short(digest string) string { return strings.TrimPrefix(digest, "sha256:")[:12] }
