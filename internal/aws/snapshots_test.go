package aws_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/wpbake/wpbake/artifact/build"
	"github.com/wpbake/wpbake/artifact/fetch"

	sdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ebs"
	"github.com/aws/aws-sdk-go-v2/service/ec2"

	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/google/go-cmp/cmp"
	"github.com/wpbake/wpbake/artifact"
	"github.com/wpbake/wpbake/artifact/dirstore"
	"github.com/wpbake/wpbake/bake/volume"
	"github.com/wpbake/wpbake/internal/aws/awstest"

	localec2 "github.com/wpbake/wpbake/internal/localcloud/ec2"
	"github.com/wpbake/wpbake/internal/owner"
	"github.com/wpbake/wpbake/rollout"
)

// site is a tree that is published again and again.
type site struct {
	t     *testing.T
	dir   string
	store artifact.Store
}

func newSite(t *testing.T) *site {
	t.Helper()
	store, err := dirstore.New(filepath.Join(t.TempDir(), "store"))
	if err != nil {
		t.Fatal(err)
	}
	s := &site{t, t.TempDir(), store}
	s.write("index.php", "<?php echo 1;\n", 1)
	s.write("zeros.bin", "\x00", 2<<20)
	for i := range 12 {
		s.write(fmt.Sprintf("file-%02d.txt", i), fmt.Sprintf("line %d of a file\n", i), 20_000)
	}
	return s
}

func (s *site) write(name, text string, times int) {
	s.t.Helper()
	if err := os.WriteFile(filepath.Join(s.dir, name), []byte(strings.Repeat(text, times)), 0o644); err != nil {
		s.t.Fatal(err)
	}
}

func (s *site) publish(v artifact.Version) artifact.Digest {
	s.t.Helper()
	p, err := build.PublishTree(s.t.Context(), s.store, build.Options{Version: v, Tree: s.dir})
	if err != nil {
		s.t.Fatal(err)
	}
	return p.Digest
}

// published is a release of a few megabytes, with a hole: a file of zeros.
func published(t *testing.T) (artifact.Store, artifact.Version, artifact.Digest) {
	t.Helper()
	s := newSite(t)
	return s.store, "v42", s.publish("v42")
}

func (l local) volume(store artifact.Store, v artifact.Version, d artifact.Digest) volume.Options {
	return volume.Options{
		Store: store, Snapshots: l.Snapshots(), Writer: l.SnapshotWriter(), Reader: l.SnapshotReader(), Version: v, Digest: d, TempDir: l.t.TempDir(),
		Owner: owner.Tags{
			Version: string(v), Manifest: string(d), Store: "s3://releases/shop", Run: "r1",
			Holder: owner.Holder{Name: "ci@host", Host: "host", PID: 1, Started: "2"}, Expires: time.Now().Add(time.Hour),
		},
	}
}

// blocksOf reads a snapshot back, by the calls that anybody has.
func (l local) blocksOf(id string) map[int32][]byte {
	l.t.Helper()
	ctx := l.t.Context()
	listed, err := l.EBS().ListSnapshotBlocks(ctx, &ebs.ListSnapshotBlocksInput{SnapshotId: &id})
	l.must(err)
	blocks := map[int32][]byte{}
	for _, b := range listed.Blocks {
		got, err := l.EBS().GetSnapshotBlock(ctx, &ebs.GetSnapshotBlockInput{SnapshotId: &id, BlockIndex: b.BlockIndex, BlockToken: b.BlockToken})
		l.must(err)
		blocks[*b.BlockIndex], err = io.ReadAll(got.BlockData)
		l.must(errors.Join(err, got.BlockData.Close()))
	}
	return blocks
}

func (l local) snapshots() []string {
	l.t.Helper()
	out, err := l.EC2().DescribeSnapshots(l.t.Context(), &ec2.DescribeSnapshotsInput{OwnerIds: []string{"self"}})
	l.must(err)
	var states []string
	for _, s := range out.Snapshots {
		states = append(states, string(s.State))
	}
	return states
}

func TestBakeVolume(t *testing.T) {
	onLocalCloud(t, 3*time.Second, func(l local) {
		ctx := l.t.Context()
		store, v, d := published(l.t)
		o := l.volume(store, v, d)
		o.Regions, o.Accounts = []string{"eu-west-1"}, []string{"210987654321"}
		made, err := volume.Bake(ctx, o)
		l.must(err)
		file := filepath.Join(l.t.TempDir(), "image")
		got, err := fetch.Release(ctx, store, fetch.Options{Version: v, As: fetch.AsImage, Dest: file})
		l.must(err)
		image, err := os.ReadFile(file)
		l.must(err)
		if made.Image != got.Manifest.Image.Digest || made.Reused {
			l.t.Errorf("baked %+v", made)
		}
		blocks := l.blocksOf(made.Snapshot)
		if all := (len(image) + volume.BlockSize - 1) / volume.BlockSize; len(blocks) != made.Blocks || len(blocks) > all-3 {
			l.t.Errorf("%d blocks written, %d told, of %d: the zeros are among them", len(blocks), made.Blocks, all)
		}
		whole := make([]byte, (len(image)+volume.BlockSize-1)/volume.BlockSize*volume.BlockSize)
		for i, b := range blocks {
			copy(whole[int(i)*volume.BlockSize:], b)
		}
		if !bytes.Equal(whole[:len(image)], image) {
			l.t.Error("the snapshot does not hold the image")
		}
		if tags := l.tagsOf("", made.Snapshot); tags[owner.TagManifest] != string(d) || tags[owner.TagImage] != string(made.Image) || tags[owner.TagRun] != "r1" {
			l.t.Errorf("tags %v", tags)
		}
		if tags := l.tagsOf("eu-west-1", made.Copies["eu-west-1"]); tags[owner.TagManifest] != string(d) {
			l.t.Errorf("tags of the copy %v", tags)
		}
		again, err := volume.Bake(ctx, o)
		l.must(err)
		if again.Snapshot != made.Snapshot || !again.Reused || again.Copies["eu-west-1"] != made.Copies["eu-west-1"] {
			l.t.Errorf("baked again %+v, first %+v", again, made)
		}
		o.Encrypted = true // which the first is not
		o.Regions, o.Accounts = nil, nil
		if other, err := volume.Bake(ctx, o); err != nil || other.Reused {
			l.t.Errorf("encrypted: %+v, %v", other, err)
		}
	})
}

func (l local) tagsOf(region, id string) map[string]string {
	l.t.Helper()
	all, err := l.Snapshots().Find(l.t.Context(), region, map[string]string{owner.TagStore: "s3://releases/shop"})
	l.must(err)
	for _, s := range all {
		if s.ID == id {
			return s.Tags
		}
	}
	l.t.Fatalf("no snapshot %q in %q", id, region)
	return nil
}

// answers is a cloud in which some calls are answered by somebody else.
type answers struct {
	http.Handler
	instead func(w http.ResponseWriter, r *http.Request) bool
}

func (a answers) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !a.instead(w, r) {
		a.Handler.ServeHTTP(w, r)
	}
}

func refuse(w http.ResponseWriter, status int, code string) bool {
	w.Header().Set("X-Amzn-ErrorType", code)
	w.WriteHeader(status)
	fmt.Fprintf(w, `{"Message":"%s, says the test"}`, code)
	return true
}

func isPut(r *http.Request) bool {
	return r.Method == http.MethodPut && strings.Contains(r.URL.Path, "/blocks/")
}

func isCompletion(r *http.Request) bool {
	return strings.HasPrefix(r.URL.Path, "/snapshots/completion/")
}

// What passes is waited for: throttling, a server that fails, one that does not
// answer, and a snapshot that is not known everywhere yet.
func TestBakeVolumeIsPatient(t *testing.T) {
	onLocalCloud(t, 0, func(l local) {
		store, v, d := published(l.t)
		var puts, ends atomic.Int64
		l.Clients = awstest.Clients(l.t, answers{l.cloud, func(w http.ResponseWriter, r *http.Request) bool {
			switch n := puts.Load(); {
			case isPut(r) && n < 4:
				puts.Add(1)
				return refuse(w, http.StatusBadRequest, "RequestThrottledException")
			case isPut(r) && n < 8:
				puts.Add(1)
				return refuse(w, http.StatusInternalServerError, "InternalServerException")
			case isPut(r) && n < 12:
				puts.Add(1)
				return refuse(w, http.StatusNotFound, "ResourceNotFoundException")
			case isPut(r) && n == 12:
				puts.Add(1)
				<-r.Context().Done() // and never answers
				return true
			case isCompletion(r) && ends.Add(1) < 3:
				return refuse(w, http.StatusServiceUnavailable, "ServiceUnavailable")
			}
			return false
		}})
		made, err := volume.Bake(l.t.Context(), l.volume(store, v, d))
		l.must(err)
		if puts.Load() != 13 || ends.Load() < 3 || len(l.blocksOf(made.Snapshot)) != made.Blocks {
			l.t.Errorf("%d puts and %d completions went wrong; baked %+v", puts.Load(), ends.Load(), made)
		}
	})
}

// Whatever ends a bake, nothing unfinished is left.
func TestBakeVolumeLeavesNothing(t *testing.T) {
	gone := errors.New("interrupted by the test")
	for name, c := range map[string]struct {
		instead func(stop context.CancelCauseFunc, w http.ResponseWriter, r *http.Request) bool
		want    string
	}{
		"refused": {func(_ context.CancelCauseFunc, w http.ResponseWriter, r *http.Request) bool {
			return isPut(r) && refuse(w, http.StatusForbidden, "AccessDeniedException")
		}, "AccessDeniedException"},
		"throttled for good": {func(_ context.CancelCauseFunc, w http.ResponseWriter, r *http.Request) bool {
			return isPut(r) && refuse(w, http.StatusBadRequest, "RequestThrottledException")
		}, "RequestThrottledException"},
		"unknown for good": {func(_ context.CancelCauseFunc, w http.ResponseWriter, r *http.Request) bool {
			return isPut(r) && refuse(w, http.StatusNotFound, "ResourceNotFoundException")
		}, "ResourceNotFoundException"},
		"never answered": {func(_ context.CancelCauseFunc, w http.ResponseWriter, r *http.Request) bool {
			if isPut(r) {
				<-r.Context().Done()
			}
			return isPut(r)
		}, "baking took longer than 5m0s"},
		"interrupted while writing": {func(stop context.CancelCauseFunc, w http.ResponseWriter, r *http.Request) bool {
			if isPut(r) {
				stop(gone)
			}
			return false
		}, "canceled"},
		"interrupted at the end": {func(stop context.CancelCauseFunc, w http.ResponseWriter, r *http.Request) bool {
			if isCompletion(r) {
				stop(gone)
			}
			return false
		}, "canceled"},
	} {
		t.Run(name, func(t *testing.T) {
			onLocalCloud(t, 0, func(l local) {
				store, v, d := published(l.t)
				ctx, stop := context.WithCancelCause(l.t.Context())
				defer stop(nil)
				l.Clients = awstest.Clients(l.t, answers{l.cloud, func(w http.ResponseWriter, r *http.Request) bool { return c.instead(stop, w, r) }})
				o := l.volume(store, v, d)
				o.Budget = 5 * time.Minute
				made, err := volume.Bake(ctx, o)
				if err == nil || !strings.Contains(err.Error(), c.want) {
					l.t.Errorf("baked %+v, %v, want %q", made, err, c.want)
				}
				if left := l.snapshots(); len(left) > 0 {
					l.t.Errorf("left %q", left)
				}
			})
		})
	}
}

// What a killed bake left goes with the next one of the same release; that of
// a bake that lives does not.
func TestBakeVolumeAfterOneThatDied(t *testing.T) {
	onLocalCloud(t, 0, func(l local) {
		store, v, d := published(l.t)
		o := l.volume(store, v, d)
		_, err := l.SnapshotWriter().Start(l.t.Context(), volume.Start{Size: 1, Timeout: time.Hour, Tags: o.Owner.Map()})
		l.must(err)
		var notes []string
		o.Note = func(text string) { notes = append(notes, text) }
		o.Alive = func(h owner.Holder) bool { return h.Name != "ci@host" || h.PID != 1 || h.Started != "2" }
		_, err = volume.Bake(l.t.Context(), o)
		l.must(err)
		if left := l.snapshots(); len(left) != 1 || left[0] != "completed" || len(notes) != 2 || !strings.Contains(notes[0], "removing snapshot") {
			l.t.Errorf("left %q, said %q", left, notes)
		}
	})
}

func TestLocalTemplateWithVolume(t *testing.T) {
	onLocalCloud(t, 0, func(l local) {
		ctx := l.t.Context()
		store, v, d := published(l.t)
		made, err := volume.Bake(ctx, l.volume(store, v, d))
		l.must(err)
		full := l.template("full", &ec2types.RequestLaunchTemplateData{
			ImageId: sdk.String(localec2.DefaultImage), InstanceType: ec2types.InstanceTypeT3Small,
			BlockDeviceMappings: []ec2types.LaunchTemplateBlockDeviceMappingRequest{
				{DeviceName: sdk.String("/dev/sdp"), Ebs: &ec2types.LaunchTemplateEbsBlockDeviceRequest{VolumeSize: sdk.Int32(4)}},
			},
		})
		mappings := func(ref rollout.TemplateRef) (names []string) {
			out, err := l.EC2().DescribeLaunchTemplateVersions(ctx, &ec2.DescribeLaunchTemplateVersionsInput{LaunchTemplateId: &ref.ID, Versions: []string{ref.Version}})
			l.must(err)
			for _, m := range out.LaunchTemplateVersions[0].LaunchTemplateData.BlockDeviceMappings {
				names = append(names, *m.DeviceName+" "+sdk.ToString(m.Ebs.SnapshotId))
			}
			return names
		}
		n := rollout.NewTemplateVersion{
			From: full, UserData: []byte("#!/bin/sh\n"), Description: "with", Token: "with",
			Volume: &rollout.Volume{Snapshot: made.Snapshot, Image: made.Image, Rate: 200},
		}
		with, err := l.driven.Templates.Create(ctx, n)
		l.must(err)
		if diff := cmp.Diff([]string{"/dev/sdp ", "/dev/sdo " + made.Snapshot}, mappings(with.TemplateRef)); diff != "" {
			l.t.Error(diff)
		}
		n.Made = with.TemplateRef
		_, err = l.driven.Templates.Create(ctx, n)
		l.must(err)
		n.Volume = &rollout.Volume{Snapshot: made.Snapshot, Image: made.Image}
		if _, err = l.driven.Templates.Create(ctx, n); !errors.Is(err, rollout.ErrBadTemplate) {
			l.t.Errorf("another rate than asked for: %v", err)
		}
		without, err := l.driven.Templates.Create(ctx, rollout.NewTemplateVersion{
			From: with.TemplateRef, UserData: []byte("#!/bin/sh\n"), Description: "without", Token: "without", Drop: made.Snapshot,
		})
		l.must(err)
		if diff := cmp.Diff([]string{"/dev/sdp "}, mappings(without.TemplateRef)); diff != "" {
			l.t.Error(diff)
		}
	})
}

// A release after another writes only what changed, on top of the other's
// snapshot, and is as whole as any.
func TestBakeVolumeAfterParent(t *testing.T) {
	onLocalCloud(t, 0, func(l local) {
		ctx := l.t.Context()
		s := newSite(l.t)
		bakeAfter := func(v, parent artifact.Version) volume.Baked {
			l.t.Helper()
			o := l.volume(s.store, v, s.publish(v))
			o.Parent, o.Regions = parent, nil
			made, err := volume.Bake(ctx, o)
			l.must(err)
			disk := filepath.Join(l.t.TempDir(), "disk")
			file, err := os.Create(disk)
			l.must(err)
			l.must(file.Truncate(1 << 30))
			for i, b := range l.blocksOf(made.Snapshot) {
				_, err := file.WriteAt(b, int64(i)*volume.BlockSize)
				l.must(err)
			}
			l.must(file.Close())
			l.must(fetch.CheckVolume(ctx, disk, made.Image))
			return made
		}
		first := bakeAfter("v42", "")
		s.write("file-05.txt", "changed in its place\n", 15_000)
		second := bakeAfter("v43", "v42")
		l.must(os.Remove(filepath.Join(s.dir, "file-02.txt")))
		s.write("file-03.txt", "it grew\n", 200_000)
		s.write("zeros.bin", "zeros that are none", 100_000)
		third := bakeAfter("v44", "v43")
		if first.Blocks < 8 || second.Parent != first.Snapshot || second.Blocks > 4 || third.Parent != second.Snapshot || third.Blocks > 12 {
			l.t.Errorf("baked %+v, then %+v, then %+v", first, second, third)
		}
		// With nothing to inherit from all is written.
		s.write("index.php", "<?php echo 2;\n", 1)
		s.publish("v45")
		s.write("index.php", "<?php echo 3;\n", 1)
		if alone := bakeAfter("v46", "v45"); alone.Parent != "" || alone.Blocks < 8 {
			l.t.Errorf("without a snapshot of the parent: %+v", alone)
		}
	})
}
