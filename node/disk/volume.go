package disk

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"path/filepath"
	"time"

	"github.com/wpbake/wpbake/artifact"
	"github.com/wpbake/wpbake/artifact/imagefs"
	"github.com/wpbake/wpbake/node/wait"
)

// DevicesByUUID is where Linux names disks by the file system on them.
const DevicesByUUID = "/dev/disk/by-uuid"

// volumeTimeout is how long a disk that the launch template attaches may take
// to be seen. EC2 attaches it before the instance starts; udev names it.
const (
	volumeTimeout = 30 * time.Second
	volumePause   = 100 * time.Millisecond
)

// Volume is written down beside the manifest of the release that it holds.
type Volume struct {
	Snapshot string          `json:"snapshot"`
	Image    artifact.Digest `json:"image"` // of the file system on it
	Disk     string          `json:"disk"`  // as Linux names it by UUID
}

// VolumeLink is where Linux shows the disk with a release's file system, below
// a directory that is DevicesByUUID when it is empty.
func VolumeLink(dir string, m artifact.Manifest) (string, error) {
	id, err := imagefs.UUID(m.Tree.Digest)
	return filepath.Join(cmp.Or(dir, DevicesByUUID), id), err
}

// AwaitVolume waits for a disk and returns its own name. With timeout 0 it waits
// for half a minute. One that does not come is fs.ErrNotExist.
func AwaitVolume(ctx context.Context, link string, timeout time.Duration) (device string, err error) {
	begun := time.Now()
	for range wait.Every(ctx, volumePause) {
		device, err = filepath.EvalSymlinks(link)
		if !errors.Is(err, fs.ErrNotExist) || time.Since(begun) > cmp.Or(timeout, volumeTimeout) {
			return device, err
		}
	}
	return "", ctx.Err()
}
