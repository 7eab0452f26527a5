package node

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/wpbake/wpbake/artifact"
)

// AsVolume is Report.As for a release on a release volume.
const AsVolume = "volume"

// disksByUUID is where Linux names disks by the file system on them.
const disksByUUID = "/dev/disk/by-uuid"

// volumePatience is how long a disk that the launch template attaches may take
// to be seen. EC2 attaches it before the instance starts; udev names it.
const (
	volumePatience = 30 * time.Second
	volumePoll     = 100 * time.Millisecond
)

// Volume is a release volume that the launch template attaches.
type Volume struct {
	Snapshot string          // it was made from; empty: there is none
	Image    artifact.Digest // of the file system on it
	Disks    string          // where disks are named by UUID; empty is Linux's /dev/disk/by-uuid
	Patience time.Duration   // for the disk to come up; 0 means half a minute
}

// volumeSuffix is of a mountedVolume's file.
const volumeSuffix = ".volume"

// mountedVolume is written down beside the manifest of the release on it.
type mountedVolume struct {
	Snapshot string          `json:"snapshot"`
	Image    artifact.Digest `json:"image"`
	Disk     string          `json:"disk"` // as Linux names it by UUID
}

func (l layout) volume(name string) string {
	return filepath.Join(l.root, imagesDir, name+volumeSuffix)
}

// fetchVolume mounts the release volume, after every byte of its image was
// compared with the digest that the template pins. It is false, with a note,
// where the release has to come another way: the disk is not there, or this
// kernel mounts no images. A disk that holds anything else is refused: it would
// hide what happened to it.
func (b *boot) fetchVolume(ctx context.Context) (bool, error) {
	if b.Config.As == AsDirectory {
		b.note("downloading the release: this node unpacks directories, and leaves the volume of %s alone", b.Volume.Snapshot)
		return false, nil
	}
	if !b.wantsImage() {
		return false, nil // it said why, or the release is here
	}
	m, _, err := artifact.Find(ctx, b.Store, b.Version)
	if err != nil {
		return false, err
	}
	link, err := b.linkOf(m)
	if err != nil {
		return false, err
	}
	disk, err := awaitDisk(ctx, link, cmp.Or(b.Volume.Patience, volumePatience))
	if errors.Is(err, fs.ErrNotExist) {
		b.note("downloading the release: no disk of snapshot %s came up", b.Volume.Snapshot)
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if err := artifact.CheckVolume(ctx, disk, b.Volume.Image); err != nil {
		return false, err
	}
	name := b.Manifest.Short()
	if err := b.writeVolume(name, m, mountedVolume{b.Volume.Snapshot, b.Volume.Image, link}); err != nil {
		return false, err
	}
	err = b.mount(disk, b.release(b.Manifest))
	var cannot *cannotMount
	if b.Config.As == AsAuto && errors.As(err, &cannot) {
		b.note("downloading the release: %v", err)
		return false, remove(b.volume(name))
	}
	if err != nil {
		return false, err
	}
	b.report.As = AsVolume
	return true, nil
}

func (l layout) writeVolume(name string, m artifact.Manifest, v mountedVolume) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return errors.Join(writeFile(l.document(name), m.Marshal(), 0o644), writeFile(l.volume(name), append(text, '\n'), 0o644))
}

// linkOf is where Linux shows the disk with a release's file system.
func (b *boot) linkOf(m artifact.Manifest) (string, error) {
	id, err := artifact.ImageUUID(m.Tree.Digest)
	return filepath.Join(cmp.Or(b.Volume.Disks, disksByUUID), id), err
}

// awaitDisk waits for a disk and returns its own name.
func awaitDisk(ctx context.Context, link string, patience time.Duration) (string, error) {
	for begun := time.Now(); ; {
		disk, err := filepath.EvalSymlinks(link)
		if err == nil || !errors.Is(err, fs.ErrNotExist) || time.Since(begun) > patience {
			return disk, err
		}
		if err := pause(ctx, volumePoll); err != nil {
			return "", err
		}
	}
}

// wholeVolume tells whether a release volume is mounted, and when it matters
// that every byte of it is right.
func (l layout) wholeVolume(ctx context.Context, name string, deep bool) error {
	var v mountedVolume
	text, err := os.ReadFile(l.volume(name))
	if err == nil {
		err = json.Unmarshal(text, &v)
	}
	if err != nil {
		return fmt.Errorf("reading %q: %w", l.volume(name), err)
	}
	disk, err := filepath.EvalSymlinks(v.Disk)
	if errors.Is(err, fs.ErrNotExist) {
		return errors.New("its release volume is not attached")
	}
	if err != nil {
		return err
	}
	if !mountedFrom(filepath.Join(l.releases(), name), disk) {
		return errors.New("its release volume is not mounted")
	}
	if deep {
		return artifact.CheckVolume(ctx, disk, v.Image)
	}
	return nil
}
