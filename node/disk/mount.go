package disk

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/wpbake/wpbake/artifact/erofs"
)

// MakeWay prepares the release's directory as a place for a mount, unless
// source is what is mounted there already. It refuses to hide anything.
func (r Release) MakeWay(source string) error {
	if err := os.Mkdir(r.Dir(), 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	if MountedFrom(r.Dir(), source) {
		return nil
	}
	if err := Unmount(r.Dir()); err != nil {
		return err
	}
	entries, err := os.ReadDir(r.Dir())
	if err == nil && len(entries) > 0 {
		return &Misplaced{r.Dir(), "no empty directory to mount an image on"}
	}
	return err
}

// Mount puts a verified image, or the device that holds it, into its place,
// after MakeWay. An error is the kernel's: it would not mount what is there.
func (r Release) Mount(source string) error {
	if MountedFrom(r.Dir(), source) {
		return nil
	}
	if err := mountImage(source, r.Dir()); err != nil {
		return fmt.Errorf("mounting the image: %w", err)
	}
	return nil
}

// ProbeMounts finds out whether this kernel mounts images, by mounting one that
// holds nothing. Its error is why not.
func (d Disk) ProbeMounts() (err error) {
	l, err := erofs.New(0, nil)
	if err != nil {
		return err
	}
	at, err := os.MkdirTemp(filepath.Join(d.root, ImagesDir), "probe-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, Remove(at)) }()
	file := at + ".erofs"
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, Remove(file)) }()
	if err := errors.Join(l.WriteMetadata(f, erofs.Label{}), f.Close()); err != nil {
		return err
	}
	if err := mountImage(file, at); err != nil {
		return err
	}
	return Unmount(at)
}
