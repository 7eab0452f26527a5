package node

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"time"

	"github.com/wpbake/wpbake/artifact"
	"github.com/wpbake/wpbake/artifact/fetch"
	"github.com/wpbake/wpbake/node/disk"
)

// Values of Config.As, and of Report.As.
const (
	AsAuto      = "auto" // an image where this kernel mounts one, else a directory
	AsDirectory = disk.AsDirectory
	AsImage     = disk.AsImage
	AsVolume    = disk.AsVolume // of a report alone: on a release volume
)

// Volume is a release volume that the launch template attaches.
type Volume struct {
	Snapshot string          // it was made from; empty: there is none
	Image    artifact.Digest // of the file system on it
	Disks    string          // where disks are named by UUID; empty is Linux's /dev/disk/by-uuid
	Timeout  time.Duration   // for the disk to come up; 0 means half a minute
}

// content is what the release consists of, on its way onto the disk.
type content struct {
	release *release
	disk    disk.Disk
	as      string // Config.As
	volume  Volume
	journal *journal
}

func (c content) place() disk.Release { return c.disk.Release(c.release.digest) }

// fetch is the stage that brings the release onto the disk: mounted from a
// release volume, or as an image, or as a directory, the first of these that
// this node can and may do. One that is there is compared byte for byte and
// used without a download; a changed one is evidence, refused and left alone.
func (c content) fetch(ctx context.Context) error {
	if err := c.disk.MakeRoom(); err != nil {
		return err
	}
	if c.volume.Snapshot != "" && c.as == AsDirectory {
		c.journal.note("downloading the release: this node unpacks directories, and leaves the volume of %s alone", c.volume.Snapshot)
	}
	if !c.wantsImage() {
		return c.unpack(ctx)
	}
	if c.volume.Snapshot != "" {
		if mounted, err := c.mountVolume(ctx); mounted || err != nil {
			return err
		}
	}
	if mounted, err := c.mountImage(ctx); mounted || err != nil {
		return err
	}
	return c.unpack(ctx)
}

// wantsImage decides between image and directory. A release that lies here as
// a directory stays one.
func (c content) wantsImage() bool {
	switch c.as {
	case AsImage:
		return true
	case AsAuto:
	default:
		return false
	}
	if c.place().IsDirectory() {
		return false
	}
	if err := c.disk.ProbeMounts(); err != nil {
		c.journal.note("unpacking a directory: this node does not mount images: %v", err)
		return false
	}
	return true
}

// mountVolume mounts the release volume, after every byte of its image was
// compared with the digest that the template pins. It is false, with a note,
// where the release has to come another way: the disk is not there, or this
// kernel mounts no images. A disk that holds anything else is refused: it would
// hide what happened to it.
func (c content) mountVolume(ctx context.Context) (mounted bool, err error) {
	link, err := disk.VolumeLink(c.volume.Disks, c.release.manifest)
	if err != nil {
		return false, err
	}
	device, err := disk.AwaitVolume(ctx, link, c.volume.Timeout)
	if errors.Is(err, fs.ErrNotExist) {
		c.journal.note("downloading the release: no disk of snapshot %s came up", c.volume.Snapshot)
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if err := fetch.CheckVolume(ctx, device, c.volume.Image); err != nil {
		return false, err
	}
	v := disk.Volume{Snapshot: c.volume.Snapshot, Image: c.volume.Image, Disk: link}
	if err := c.place().RecordVolume(c.release.manifest, v); err != nil {
		return false, err
	}
	if err := c.place().MakeWay(device); err != nil {
		return false, err
	}
	if err := c.place().Mount(device); err != nil {
		if c.as != AsAuto {
			return false, err
		}
		c.journal.note("downloading the release: %v", err)
		return false, c.place().ForgetVolume()
	}
	c.journal.report.As = AsVolume
	return true, nil
}

// mountImage brings the image, which is verified before it is mounted, also
// when it was there already. It is false, with a note, where this kernel would
// not mount it and the configuration allows a directory.
func (c content) mountImage(ctx context.Context) (mounted bool, err error) {
	place := c.place()
	if err := place.BeginImage(); err != nil {
		return false, err
	}
	m, err := c.download(ctx, fetch.AsImage, place.Image())
	if err != nil {
		return false, err
	}
	if err := place.RecordImage(m); err != nil {
		return false, err
	}
	if err := place.MakeWay(place.Image()); err != nil {
		return false, err
	}
	if err := place.Mount(place.Image()); err != nil {
		if c.as != AsAuto {
			return false, err
		}
		c.journal.note("unpacking a directory: %v", err)
		return false, nil
	}
	return true, nil
}

// unpack brings the release as a directory.
func (c content) unpack(ctx context.Context) error {
	if err := c.place().BeginDirectory(); err != nil {
		return err
	}
	_, err := c.download(ctx, fetch.AsDirectory, c.place().Dir())
	return err
}

// download fetches in one form, with the help of the release that runs, and
// keeps the artifact to help the next one.
func (c content) download(ctx context.Context, as fetch.Form, dest string) (artifact.Manifest, error) {
	o := fetch.Options{Version: c.release.version, Digest: c.release.digest, As: as, Dest: dest}
	if _, err := os.Lstat(dest); errors.Is(err, fs.ErrNotExist) {
		o.Keep = c.place().Artifact()
	}
	if name, err := c.disk.Running(); err == nil && name != "" {
		o.Base = c.disk.Named(name).Artifact()
	}
	got, err := fetch.Release(ctx, c.release.store, o)
	if err != nil {
		return artifact.Manifest{}, err
	}
	c.journal.report.As, c.journal.report.Downloaded = string(as), got.Downloaded
	return got.Manifest, nil
}
