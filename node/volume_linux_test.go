package node

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/wpbake/wpbake/artifact"
	"github.com/wpbake/wpbake/artifact/fetch"
	"github.com/wpbake/wpbake/artifact/imagefs"
	"github.com/wpbake/wpbake/node/disk"
)

// attach gives the node a disk with the image of its release, as its template
// would.
func (f *fixture) attach() (device string) {
	f.t.Helper()
	file := filepath.Join(f.t.TempDir(), "image")
	got, err := fetch.Release(f.t.Context(), f.store.Store, fetch.Options{
		Version: f.options.Version, As: fetch.AsImage, Dest: file,
	})
	if err != nil {
		f.t.Fatal(err)
	}
	disks := filepath.Join(f.dir, "disks")
	device = filepath.Join(disks, "vol-"+f.options.Manifest.Short())
	if err := os.MkdirAll(disks, 0o755); err != nil {
		f.t.Fatal(err)
	}
	image, err := os.ReadFile(file)
	if err != nil {
		f.t.Fatal(err)
	}
	if err := errors.Join(os.WriteFile(device, image, 0o600), os.Truncate(device, 1<<30)); err != nil {
		f.t.Fatal(err)
	}
	id, err := imagefs.UUID(got.Manifest.Tree.Digest)
	if err != nil {
		f.t.Fatal(err)
	}
	if err := os.Symlink(device, filepath.Join(disks, id)); err != nil {
		f.t.Fatal(err)
	}
	f.options.Volume = Volume{Snapshot: "snap-0123456789abcdef0", Image: got.Manifest.Image.Digest, Disks: disks, Timeout: time.Second}
	return device
}

// mountsVolume fails unless the release is mounted from the disk, read-only.
func (f *fixture) mountsVolume(device string) {
	f.t.Helper()
	at := f.place().Dir()
	if !disk.MountedFrom(at, device) {
		all, err := disk.MountsAt(at)
		f.t.Errorf("mounted: %+v, %v", all, err)
	}
	if err := os.WriteFile(filepath.Join(at, "wordpress", "shell.php"), nil, 0o644); !errors.Is(err, syscall.EROFS) {
		f.t.Errorf("writing into a release: %v", err)
	}
}

func TestBootMountsVolume(t *testing.T) {
	f := newImageFixture(t)
	device := f.attach()
	if r := f.next(); r.As != AsVolume || r.Downloaded != 0 || len(r.Notes) > 0 {
		t.Errorf("report %+v", r)
	}
	if n := f.store.downloads(); n != 0 {
		t.Errorf("%d reads of the artifact", n)
	}
	f.mountsVolume(device)
	st, err := Status(t.Context(), StatusOptions{Root: f.options.Config.Root, Deep: true})
	if err != nil || st.Problem != "" || st.Verified == nil || !*st.Verified {
		t.Errorf("status %+v, %v", st, err)
	}

	// After a reboot it is mounted again, and a release without a volume follows.
	if err := disk.Unmount(f.place().Dir()); err != nil {
		t.Fatal(err)
	}
	st, err = Status(t.Context(), StatusOptions{Root: f.options.Config.Root})
	if err != nil || st.Problem != "its release volume is not mounted" {
		t.Errorf("status %+v, %v", st, err)
	}
	f.next()
	f.mountsVolume(device)
	f.options.Volume = Volume{}
	d := f.release("v43").Short()
	if r := f.next(); r.As != AsImage || r.Downloaded == 0 {
		t.Errorf("report %+v", r)
	}
	if !disk.MountedFrom(f.place().Dir(), f.disk().Named(d).Image()) {
		t.Error("the release without a volume is not mounted from its image")
	}
	if err := f.disk().Prune([]string{d}); err != nil {
		t.Fatal(err)
	}
	if left := names(t, filepath.Join(f.options.Config.Root, disk.ImagesDir)); len(left) != 2 {
		t.Errorf("left of both releases: %q", left)
	}
}

// Every byte that the file system can reach is compared before it is mounted.
func TestChangedVolume(t *testing.T) {
	f := newImageFixture(t)
	device := f.attach()
	file, err := os.OpenFile(device, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	image, err := io.ReadAll(io.LimitReader(file, 1<<20)) // what follows is an empty disk of 1 GiB
	if err != nil {
		t.Fatal(err)
	}
	at := strings.Index(string(image), "<?php")
	_, err = file.WriteAt([]byte("<?PHP"), int64(at))
	if err = errors.Join(err, file.Close()); err != nil || at < 0 {
		t.Fatal(at, err)
	}
	_, err = Boot(t.Context(), f.options)
	var damaged *artifact.Damaged
	if !errors.As(err, &damaged) {
		t.Fatalf("booted from another disk: %v", err)
	}
	if all, err := disk.MountsAt(f.place().Dir()); err != nil || len(all) > 0 {
		t.Errorf("mounted %+v, %v", all, err)
	}
}

func TestVolumeIsMissing(t *testing.T) {
	f := newImageFixture(t)
	f.attach()
	f.options.Volume.Disks = t.TempDir()
	r := f.next()
	if r.As != AsImage || r.Downloaded == 0 || len(r.Notes) != 1 || !strings.Contains(r.Notes[0], "no disk of snapshot snap-0123456789abcdef0") {
		t.Errorf("report %+v", r)
	}
}
