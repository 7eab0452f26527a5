package build

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/wpbake/wpbake/artifact"
)

func writeSynced(name string, b []byte) error {
	f, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("writing %q: %w", filepath.Base(name), err)
	}
	defer f.Close()
	if _, err := f.Write(b); err != nil {
		return fmt.Errorf("writing %q: %w", filepath.Base(name), err)
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("writing %q: %w", filepath.Base(name), err)
	}
	return nil
}

// moveRelease puts a finished release in the place of an earlier one. The
// manifest goes first and comes last: whoever sees one sees a whole release.
func moveRelease(staging, dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("making output directory: %w", err)
	}
	manifest := filepath.Join(dir, artifact.ManifestName)
	if err := os.Remove(manifest); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("replacing release: %w", err)
	}
	for _, name := range []string{artifact.TarballName, artifact.SBOMName, artifact.ManifestName} {
		err := os.Rename(filepath.Join(staging, name), filepath.Join(dir, name))
		if name == artifact.SBOMName && errors.Is(err, fs.ErrNotExist) { // this release has none
			err = os.RemoveAll(filepath.Join(dir, name))
		}
		if err != nil {
			return fmt.Errorf("replacing release: %w", err)
		}
	}
	return syncDir(dir)
}

// syncDir makes the names in a directory durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
