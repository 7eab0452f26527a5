package node

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/wpbake/wpbake/artifact"
	"github.com/wpbake/wpbake/artifact/erofs"
)

// Values of Config.As.
const (
	AsAuto      = "auto" // an image where this kernel mounts one, else a directory
	AsDirectory = string(artifact.AsDirectory)
	AsImage     = string(artifact.AsImage)
)

const (
	imagesDir    = "images"
	artifactsDir = "artifacts"
	imageSuffix  = ".erofs"
	blobSuffix   = ".tar.zst"
)

func (l layout) image(name string) string { return filepath.Join(l.root, imagesDir, name+imageSuffix) }

// document is the manifest of an image, which has none inside.
func (l layout) document(name string) string { return filepath.Join(l.root, imagesDir, name+".json") }

func (l layout) artifact(name string) string {
	return filepath.Join(l.root, artifactsDir, name+blobSuffix)
}

// fetch brings the release onto the disk. One that is there is compared byte
// for byte and used without a download; a changed one is evidence, refused and
// left alone.
func (b *boot) fetch(ctx context.Context) error {
	for _, dir := range []string{imagesDir, artifactsDir} {
		if err := os.MkdirAll(filepath.Join(b.root, dir), 0o755); err != nil {
			return err
		}
	}
	if b.Volume.Snapshot != "" {
		if done, err := b.fetchVolume(ctx); done || err != nil {
			return err
		}
	}
	if !b.wantsImage() {
		return b.fetchDirectory(ctx)
	}
	err := b.fetchImage(ctx)
	var cannot *cannotMount
	if b.Config.As != AsAuto || !errors.As(err, &cannot) {
		return err
	}
	b.note("unpacking a directory: %v", err)
	return b.fetchDirectory(ctx)
}

// wantsImage decides between image and directory. A release that lies here as
// a directory stays one.
func (b *boot) wantsImage() bool {
	switch b.Config.As {
	case AsImage:
		return true
	case AsAuto:
	default:
		return false
	}
	at := b.release(b.Manifest)
	if _, err := os.Stat(filepath.Join(at, ".wpbake", "manifest.json")); err == nil {
		return false
	}
	if err := probe(filepath.Join(b.root, imagesDir)); err != nil {
		b.note("unpacking a directory: this node does not mount images: %v", err)
		return false
	}
	return true
}

// note says something that the boot report keeps.
func (b *boot) note(format string, args ...any) {
	text := b.line(fmt.Sprintf(format, args...))
	b.say("%s", text)
	b.report.Notes = append(b.report.Notes, text)
}

// bring fetches in one form, with the help of the release that runs. The
// artifact is kept to help the next one.
func (b *boot) bring(ctx context.Context, as artifact.Form, dest string) (artifact.Manifest, error) {
	o := artifact.FetchOptions{Version: b.Version, Digest: b.Manifest, As: as, Dest: dest}
	if _, err := os.Lstat(dest); errors.Is(err, fs.ErrNotExist) {
		o.Keep = b.artifact(b.Manifest.Short())
	}
	if name, err := b.running(); err == nil && name != "" {
		o.Base = b.artifact(name)
	}
	got, err := artifact.Fetch(ctx, b.Store, o)
	if err != nil {
		return artifact.Manifest{}, err
	}
	b.report.As, b.report.Downloaded = string(as), got.Downloaded
	return got.Manifest, nil
}

// fetchDirectory unpacks. An empty directory is where an image was mounted, or
// was to be.
func (b *boot) fetchDirectory(ctx context.Context) error {
	at, name := b.release(b.Manifest), b.Manifest.Short()
	if err := errors.Join(unmountAll(at), remove(b.document(name)), remove(b.volume(name)), remove(b.image(name))); err != nil {
		return err
	}
	_ = os.Remove(at) // it is not empty when it is a release
	_, err := b.bring(ctx, artifact.AsDirectory, at)
	return err
}

// fetchImage brings the image, which is verified before it is mounted, also
// when it was there already.
func (b *boot) fetchImage(ctx context.Context) error {
	name, at := b.Manifest.Short(), b.release(b.Manifest)
	if err := remove(b.volume(name)); err != nil {
		return err
	}
	m, err := b.bring(ctx, artifact.AsImage, b.image(name))
	if err != nil {
		return err
	}
	if err := writeFile(b.document(name), m.Marshal(), 0o644); err != nil {
		return err
	}
	return b.mount(b.image(name), at)
}

// mount puts a verified image, or the disk that holds it, into its place.
func (b *boot) mount(image, at string) error {
	if err := os.Mkdir(at, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	if mountedFrom(at, image) {
		return nil
	}
	if err := unmountAll(at); err != nil {
		return err
	}
	if err := onlyEmpty(at); err != nil {
		return err
	}
	if err := mountImage(image, at); err != nil {
		return &cannotMount{err}
	}
	return nil
}

// onlyEmpty refuses to hide something under a mount.
func onlyEmpty(dir string) error {
	entries, err := os.ReadDir(dir)
	if err == nil && len(entries) > 0 {
		return &Misplaced{dir, "no empty directory to mount an image on"}
	}
	return err
}

// cannotMount says that the kernel would not mount a verified image.
type cannotMount struct{ err error }

func (e *cannotMount) Error() string { return fmt.Sprintf("mounting the image: %v", e.err) }

// Unwrap returns the kernel's answer.
func (e *cannotMount) Unwrap() error { return e.err }

// probe finds out whether images can be mounted by mounting one that holds
// nothing.
func probe(dir string) (err error) {
	l, err := erofs.New(0, nil)
	if err != nil {
		return err
	}
	at, err := os.MkdirTemp(dir, "probe-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, remove(at)) }()
	file := at + imageSuffix
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, remove(file)) }()
	if err := errors.Join(l.WriteMetadata(f, erofs.Label{}), f.Close()); err != nil {
		return err
	}
	if err := mountImage(file, at); err != nil {
		return err
	}
	return unmountAll(at)
}

func remove(name string) error {
	if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// dropRelease takes a release out of service for good. Whoever still reads its
// image goes on reading it.
func (l layout) dropRelease(name string) error {
	at := filepath.Join(l.releases(), name)
	if err := unmountAll(at); err != nil {
		return err
	}
	return os.RemoveAll(at)
}

// dropFiles removes images and artifacts of releases that are not kept, and
// what killed boots left of any.
func (l layout) dropFiles(kept map[string]bool) error {
	var failed []error
	for _, dir := range []string{imagesDir, artifactsDir} {
		entries, err := os.ReadDir(filepath.Join(l.root, dir))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			failed = append(failed, err)
		}
		for _, e := range entries {
			name, rest, _ := strings.Cut(e.Name(), ".")
			if !kept[name] || strings.HasSuffix(rest, ".partial") {
				failed = append(failed, os.RemoveAll(filepath.Join(l.root, dir, e.Name())))
			}
		}
	}
	return errors.Join(failed...)
}
