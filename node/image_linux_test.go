package node

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/wpbake/wpbake/artifact"
	"github.com/wpbake/wpbake/artifact/fetch"
	"github.com/wpbake/wpbake/internal/tier"
	"github.com/wpbake/wpbake/node/disk"
)

// newImageFixture is a node that mounts.
func newImageFixture(t *testing.T) *fixture {
	t.Helper()
	tier.Root(t)
	f := newFixture(t)
	f.options.Config.As = AsImage
	t.Cleanup(func() {
		releases := f.releases()
		if _, err := os.Stat(releases); errors.Is(err, os.ErrNotExist) { // its disk went, and with it all mounts
			return
		}
		for _, name := range names(t, releases) {
			if err := disk.Unmount(f.disk().Named(name).Dir()); err != nil {
				t.Error(err)
			}
		}
	})
	return f
}

// next boots with a hook that waits for this boot too: mounts need the real
// clock, on which its timeout would take minutes.
func (f *fixture) next() Report {
	f.t.Helper()
	f.hook.completions = nil
	return f.boot()
}

// mounts fails unless exactly these releases stand here, each mounted once and
// read-only, with the files of its own.
func (f *fixture) mounts(want ...string) {
	f.t.Helper()
	for _, name := range want {
		at := f.disk().Named(name).Dir()
		if !disk.MountedFrom(at, f.disk().Named(name).Image()) {
			all, err := disk.MountsAt(at)
			f.t.Errorf("%s is not mounted from its image: %+v, %v", name, all, err)
		}
		if err := os.WriteFile(filepath.Join(at, "wordpress", "shell.php"), nil, 0o644); !errors.Is(err, syscall.EROFS) {
			f.t.Errorf("writing into a release: %v", err)
		}
	}
	if diff := cmp.Diff(len(want), len(names(f.t, f.releases()))); diff != "" {
		f.t.Errorf("releases: %v", names(f.t, f.releases()))
	}
}

func TestBootMountsImage(t *testing.T) {
	f := newImageFixture(t)
	old := f.options.Manifest.Short()
	if r := f.next(); r.As != AsImage || r.Downloaded == 0 || len(r.Notes) > 0 {
		t.Errorf("report %+v", r)
	}
	f.mounts(old)

	// Booted again while it serves: the mount stays, nothing is downloaded.
	before := f.store.downloads()
	if r := f.next(); r.Downloaded != 0 || f.store.downloads() != before {
		t.Errorf("downloaded %d", r.Downloaded)
	}
	f.mounts(old)

	// After a reboot no mount is left.
	if err := disk.Unmount(f.place().Dir()); err != nil {
		t.Fatal(err)
	}
	st, err := Status(t.Context(), StatusOptions{Root: f.options.Config.Root})
	if err != nil || st.Problem != "its image is not mounted" || st.Version != "v42" {
		t.Errorf("status %+v, %v", st, err)
	}
	if f.next(); f.store.downloads() != before {
		t.Error("the reboot downloaded")
	}
	f.mounts(old)

	// The next release needs only what differs.
	d := f.release("v43").Short()
	if r := f.next(); r.Downloaded == 0 {
		t.Errorf("report %+v", r)
	}
	f.mounts(old, d)
	st, err = Status(t.Context(), StatusOptions{Root: f.options.Config.Root, Deep: true})
	if err != nil || st.Problem != "" || st.Current != d || st.Verified == nil || !*st.Verified {
		t.Errorf("status %+v, %v", st, err)
	}
}

// Old releases go even while somebody reads them.
func TestImagesArePruned(t *testing.T) {
	f := newImageFixture(t)
	f.options.Config.Keep = 1
	old := f.options.Manifest
	f.next()
	reading, err := os.Open(filepath.Join(f.disk().Release(old).Dir(), "wordpress", "index.php"))
	if err != nil {
		t.Fatal(err)
	}
	defer reading.Close()
	stale := filepath.Join(f.options.Config.Root, disk.ImagesDir, "killed.erofs.partial")
	if err := os.WriteFile(stale, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	d := f.release("v43").Short()
	f.next()
	f.mounts(d)
	for dir, want := range map[string][]string{
		disk.ImagesDir: {d + ".erofs", d + ".json"}, disk.ArtifactsDir: {d + ".tar.zst"}, disk.ReleasesDir: {d},
	} {
		if diff := cmp.Diff(want, names(t, filepath.Join(f.options.Config.Root, dir))); diff != "" {
			t.Errorf("%s: %s", dir, diff)
		}
	}
	b := make([]byte, 5)
	if _, err := reading.Read(b); err != nil || string(b) != "<?php" {
		t.Errorf("who still read got %q, %v", b, err)
	}
}

// A changed image is evidence: it is not mounted and not replaced.
func TestChangedImage(t *testing.T) {
	f := newImageFixture(t)
	f.next()
	image := f.place().Image()
	if err := disk.Unmount(f.place().Dir()); err != nil {
		t.Fatal(err)
	}
	file, err := os.OpenFile(image, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := file.WriteAt([]byte("shell"), 9000); err != nil {
		t.Fatal(err)
	}
	file.Close()
	f.hook.completions = nil
	_, err = Boot(t.Context(), f.options)
	var taken *fetch.DestTaken
	if !errors.As(err, &taken) {
		t.Fatalf("got %v", err)
	}
	if all, err := disk.MountsAt(f.place().Dir()); len(all) > 0 || err != nil {
		t.Errorf("mounted %v, %v", all, err)
	}
}

// Killed anywhere, a node that mounts has the old release, the new one or none.
func TestKilledMounting(t *testing.T) {
	tier.Test(t)
	for _, at := range []string{"get .zst", "fetch", "switch", "gate"} {
		t.Run(at, func(t *testing.T) {
			f := newImageFixture(t)
			f.next()
			old := f.options.Manifest.Short()
			d := f.release("v43").Short()
			f.kill(at)
			if got := f.current(); got != old && got != d {
				t.Errorf("current is %q", got)
			}
			for _, name := range names(t, f.releases()) {
				if all, err := disk.MountsAt(f.disk().Named(name).Dir()); err != nil || len(all) > 1 {
					t.Errorf("%s: %v, %v", name, all, err)
				}
			}
			f.hook.completions = nil
			f.next()
			f.mounts(old, d)
		})
	}
}

// From directory to image and back, as a node's configuration changes.
func TestFormChanges(t *testing.T) {
	f := newImageFixture(t)
	f.options.Config.As = AsDirectory
	f.next()
	f.options.Config.As = AsAuto
	if r := f.next(); r.As != AsDirectory || r.Downloaded != 0 {
		t.Errorf("a directory that stands: %+v", r)
	}
	f.release("v43")
	if r := f.next(); r.As != AsImage {
		t.Errorf("auto, as root: %+v", r)
	}
	f.options.Config.As = AsDirectory
	r := f.next()
	if all, err := disk.MountsAt(f.place().Dir()); r.As != AsDirectory || len(all) > 0 || err != nil {
		t.Errorf("back to a directory: %+v, %v, %v", r, all, err)
	}
	if err := fetch.Check(f.place().Dir(), mustUnpacked(t, f.place().Dir())); err != nil {
		t.Error(err)
	}
}

func mustUnpacked(t *testing.T, dir string) artifact.Manifest {
	t.Helper()
	m, err := fetch.Unpacked(dir)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// A full disk is met before the download, and leaves the old release mounted.
func TestImageDiskFull(t *testing.T) {
	f := newImageFixture(t)
	root := f.options.Config.Root
	if err := os.MkdirAll(root, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", root, "tmpfs", 0, "size=256k"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(root, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	f.next()
	old := f.options.Manifest.Short()
	f.hook.completions, f.hook.calls = nil, 0
	f.release("v43")
	if err := os.WriteFile(filepath.Join(root, "fill"), make([]byte, 1<<20), 0o644); !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("filling the disk: %v", err)
	}
	if _, err := Boot(t.Context(), f.options); !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("got %v", err)
	}
	if got := f.stored(); got.Stage != "fetch" || !strings.Contains(got.Cause, "no space left on device") {
		t.Errorf("stored %+v", got)
	}
	f.mounts(old)
	if diff := cmp.Diff([]string{old + ".erofs", old + ".json"}, names(t, filepath.Join(root, disk.ImagesDir))); diff != "" {
		t.Error(diff)
	}
}
