package node

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/wpbake/wpbake/artifact"
	"github.com/wpbake/wpbake/node/disk"
)

func (f *fixture) resume() (Resumed, error) {
	f.t.Helper()
	before := len(f.store.gets)
	r, err := Resume(f.t.Context(), ResumeOptions{Config: f.options.Config, Parameters: f.options.Parameters})
	if len(f.store.gets) != before {
		f.t.Error("the store was asked")
	}
	return r, err
}

func TestResumeBeforeTheFirstBoot(t *testing.T) {
	f := newFixture(t)
	if r, err := f.resume(); err != nil || r != (Resumed{}) || r.Text() != "this node has served nothing yet" {
		t.Errorf("%+v, %v", r, err)
	}
	if _, err := os.Stat(f.options.Config.Root); err == nil && len(names(t, f.options.Config.Root)) > 0 {
		t.Errorf("it made %v", names(t, f.options.Config.Root))
	}
}

func TestResumeADirectory(t *testing.T) {
	f := newFixture(t)
	f.options.Config.As = AsDirectory
	f.boot()
	environment, err := os.ReadFile(f.options.Config.Environment.File)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(f.options.Config.Environment.File); err != nil {
		t.Fatal(err)
	}
	r, err := f.resume()
	if err != nil || r != (Resumed{"v42", f.options.Manifest, AsDirectory}) {
		t.Errorf("%+v, %v", r, err)
	}
	if again, err := os.ReadFile(f.options.Config.Environment.File); err != nil || string(again) != string(environment) {
		t.Errorf("the environment is %q, %v; it was %q", again, err, environment)
	}
	shell := filepath.Join(f.place().Dir(), "wordpress", "shell.php")
	if err := os.WriteFile(shell, []byte("<?php"), 0o644); err != nil {
		t.Fatal(err)
	}
	if r, err := f.resume(); err == nil || !strings.Contains(err.Error(), "shell.php") {
		t.Errorf("a tree that was changed: %+v, %v", r, err)
	}
}

func TestResumeWithoutParameters(t *testing.T) {
	f := newFixture(t)
	f.boot()
	f.options.Parameters = nil
	if _, err := f.resume(); err == nil || !strings.Contains(err.Error(), "parameter client") {
		t.Errorf("%v", err)
	}
}

func TestResumeAnImage(t *testing.T) {
	f := newImageFixture(t)
	f.next()
	at := f.place().Dir()
	for range 2 { // after a reboot, and once more
		if r, err := f.resume(); err != nil || r.As != AsImage || r.Version != "v42" {
			t.Fatalf("%+v, %v", r, err)
		}
		f.mounts(f.options.Manifest.Short())
	}
	if err := disk.Unmount(at); err != nil {
		t.Fatal(err)
	}
	if r, err := f.resume(); err != nil || r.As != AsImage {
		t.Fatalf("%+v, %v", r, err)
	}
	f.mounts(f.options.Manifest.Short())
	if err := disk.Unmount(at); err != nil {
		t.Fatal(err)
	}
	file, err := os.OpenFile(f.place().Image(), os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, err = file.WriteAt([]byte("shell"), 8192)
	if err := errors.Join(err, file.Close()); err != nil {
		t.Fatal(err)
	}
	var damaged *artifact.Damaged
	_, err = Resume(t.Context(), ResumeOptions{Config: f.options.Config, Parameters: f.options.Parameters})
	if !errors.As(err, &damaged) || disk.MountedFrom(at, file.Name()) {
		t.Errorf("an image that was changed: %v", err)
	}
}

func TestResumeAVolume(t *testing.T) {
	f := newImageFixture(t)
	device := f.attach()
	f.next()
	if err := disk.Unmount(f.place().Dir()); err != nil {
		t.Fatal(err)
	}
	if r, err := f.resume(); err != nil || r.As != AsVolume {
		t.Fatalf("%+v, %v", r, err)
	}
	f.mountsVolume(device)
}
