package disk

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/wpbake/wpbake/artifact"
	"github.com/wpbake/wpbake/artifact/fetch"
)

// How a release lies on a disk.
const (
	AsDirectory = string(fetch.AsDirectory)
	AsImage     = string(fetch.AsImage)
	AsVolume    = "volume"
)

// Release is one release's place on a disk.
type Release struct {
	disk Disk
	name string // the first twelve digits of its manifest's digest
}

// Dir is where its tree stands, or where its image is mounted.
func (r Release) Dir() string { return filepath.Join(r.disk.releases(), r.name) }

// Image is where its image lies.
func (r Release) Image() string { return r.file(ImagesDir, ".erofs") }

// Artifact is where its artifact is kept, to help fetching the next.
func (r Release) Artifact() string { return r.file(ArtifactsDir, ".tar.zst") }

// document is the manifest of an image, which has none inside.
func (r Release) document() string { return r.file(ImagesDir, ".json") }

// volume is where it is written down that a release volume holds it.
func (r Release) volume() string { return r.file(ImagesDir, ".volume") }

func (r Release) file(dir, suffix string) string {
	return filepath.Join(r.disk.root, dir, r.name+suffix)
}

// IsDirectory tells whether the release lies here as files.
func (r Release) IsDirectory() bool {
	_, err := os.Stat(filepath.Join(r.Dir(), ".wpbake", "manifest.json"))
	return err == nil
}

// Manifest reads the manifest inside the release's directory, or beside its
// image, and refuses another's.
func (r Release) Manifest() (artifact.Manifest, error) {
	m, err := fetch.Unpacked(r.Dir())
	if errors.Is(err, fs.ErrNotExist) {
		var b []byte
		if b, err = os.ReadFile(r.document()); err == nil {
			m, err = artifact.ParseManifest(b)
		}
	}
	if err != nil {
		return artifact.Manifest{}, err
	}
	if got := m.Digest().Short(); got != r.name {
		return artifact.Manifest{}, fmt.Errorf("its manifest is that of %s", got)
	}
	return m, nil
}

// BeginDirectory makes way for files: whatever was mounted or written down here
// goes. Files that stand here already stay.
func (r Release) BeginDirectory() error {
	if err := errors.Join(Unmount(r.Dir()), Remove(r.document()), Remove(r.volume()), Remove(r.Image())); err != nil {
		return err
	}
	_ = os.Remove(r.Dir()) // it is not empty when it is a release
	return nil
}

// BeginImage makes way for an image: no volume holds the release any more.
func (r Release) BeginImage() error { return Remove(r.volume()) }

// RecordImage writes the manifest beside the image.
func (r Release) RecordImage(m artifact.Manifest) error {
	return WriteFile(r.document(), m.Marshal(), 0o644)
}

// RecordVolume writes down which release volume holds the release.
func (r Release) RecordVolume(m artifact.Manifest, v Volume) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return errors.Join(r.RecordImage(m), WriteFile(r.volume(), append(text, '\n'), 0o644))
}

// ForgetVolume takes back RecordVolume: the release comes another way.
func (r Release) ForgetVolume() error { return Remove(r.volume()) }

// form is how the release lies here, by what was written down when it came.
func (r Release) form() (form string, v Volume, err error) {
	if _, err := os.Lstat(r.document()); errors.Is(err, fs.ErrNotExist) {
		return AsDirectory, Volume{}, nil
	}
	text, err := os.ReadFile(r.volume())
	if errors.Is(err, fs.ErrNotExist) {
		return AsImage, Volume{}, nil
	}
	if err == nil {
		err = json.Unmarshal(text, &v)
	}
	if err != nil {
		return "", Volume{}, fmt.Errorf("reading %q: %w", r.volume(), err)
	}
	return AsVolume, v, nil
}

// Check tells whether the release is what its manifest says: for an image, that
// it is mounted, and when it matters that every byte of it is right.
func (r Release) Check(ctx context.Context, m artifact.Manifest, deep bool) error {
	form, v, err := r.form()
	if err != nil {
		return err
	}
	switch form {
	case AsVolume:
		return r.checkVolume(ctx, v, deep)
	case AsImage:
		return r.checkImage(ctx, m, deep)
	}
	if !deep {
		return nil
	}
	return fetch.Check(r.Dir(), m)
}

func (r Release) checkImage(ctx context.Context, m artifact.Manifest, deep bool) error {
	if !MountedFrom(r.Dir(), r.Image()) {
		return errors.New("its image is not mounted")
	}
	if !deep {
		return nil
	}
	return fetch.CheckImage(ctx, r.Image(), m)
}

func (r Release) checkVolume(ctx context.Context, v Volume, deep bool) error {
	device, err := filepath.EvalSymlinks(v.Disk)
	if errors.Is(err, fs.ErrNotExist) {
		return errors.New("its release volume is not attached")
	}
	if err != nil {
		return err
	}
	if !MountedFrom(r.Dir(), device) {
		return errors.New("its release volume is not mounted")
	}
	if !deep {
		return nil
	}
	return fetch.CheckVolume(ctx, device, v.Image)
}

// Restore brings the release back after a reboot, which ends all mounts: every
// byte is compared with its manifest, then it is mounted if it is to be. It
// returns how the release lies here.
func (r Release) Restore(ctx context.Context, m artifact.Manifest) (form string, err error) {
	form, v, err := r.form()
	if err != nil {
		return "", err
	}
	switch form {
	case AsVolume:
		device, err := AwaitVolume(ctx, v.Disk, 0)
		if err != nil {
			return "", fmt.Errorf("looking for the release volume of %s: %w", v.Snapshot, err)
		}
		if err := fetch.CheckVolume(ctx, device, v.Image); err != nil {
			return "", err
		}
		return AsVolume, r.remount(device)
	case AsImage:
		if err := fetch.CheckImage(ctx, r.Image(), m); err != nil {
			return "", err
		}
		return AsImage, r.remount(r.Image())
	}
	return AsDirectory, fetch.Check(r.Dir(), m)
}

func (r Release) remount(source string) error {
	if err := r.MakeWay(source); err != nil {
		return err
	}
	return r.Mount(source)
}

// drop takes the release out of service for good. Whoever still reads its image
// goes on reading it.
func (r Release) drop() error {
	if err := Unmount(r.Dir()); err != nil {
		return err
	}
	return os.RemoveAll(r.Dir())
}
