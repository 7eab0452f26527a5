package rollout_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	awsec2 "github.com/aws/aws-sdk-go-v2/service/ec2"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/google/go-cmp/cmp"

	"github.com/wpbake/wpbake/artifact"
	"github.com/wpbake/wpbake/bake/inventory"
	"github.com/wpbake/wpbake/internal/owner"
	"github.com/wpbake/wpbake/rollout"
)

// bakedFor makes an image and a release volume as a bake of the version would.
func (w *world) bakedFor(v artifact.Version, d artifact.Digest) rollout.Baked {
	w.t.Helper()
	var tags []ec2types.Tag
	for key, value := range (owner.Tags{Version: string(v), Manifest: string(d), Store: storeURL, Run: "r", Expires: time.Now()}).Map() {
		tags = append(tags, ec2types.Tag{Key: &key, Value: &value})
	}
	spec := func(kind ec2types.ResourceType) []ec2types.TagSpecification {
		return []ec2types.TagSpecification{{ResourceType: kind, Tags: tags}}
	}
	volume, err := w.clients.EC2().CreateVolume(w.ctx, &awsec2.CreateVolumeInput{AvailabilityZone: awssdk.String("eu-central-1a"), Size: awssdk.Int32(1)})
	w.must(volume, err)
	var snapshots []string
	for range 2 {
		made, err := w.clients.EC2().CreateSnapshot(w.ctx, &awsec2.CreateSnapshotInput{VolumeId: volume.VolumeId, TagSpecifications: spec(ec2types.ResourceTypeSnapshot)})
		w.must(made, err)
		snapshots = append(snapshots, *made.SnapshotId)
	}
	synctest.Wait() // until they are read
	image, err := w.clients.EC2().RegisterImage(w.ctx, &awsec2.RegisterImageInput{
		Name: awssdk.String("wpbake-" + string(v)), RootDeviceName: awssdk.String("/dev/xvda"), TagSpecifications: spec(ec2types.ResourceTypeImage),
		Architecture: ec2types.ArchitectureValuesX8664, VirtualizationType: awssdk.String("hvm"),
		BlockDeviceMappings: []ec2types.BlockDeviceMapping{{DeviceName: awssdk.String("/dev/xvda"), Ebs: &ec2types.EbsBlockDevice{SnapshotId: &snapshots[0]}}},
	})
	w.must(image, err)
	return rollout.Baked{Image: *image.ImageId, Volume: &rollout.Volume{Snapshot: snapshots[1], Image: d}}
}

// collect removes what nothing needs and answers with the versions that lost
// something.
func (w *world) collect(keep int) []string {
	w.t.Helper()
	roots, err := rollout.Roots(w.ctx, w.store, keep)
	w.must(roots, err)
	var gcRoots []inventory.Root
	for _, root := range roots {
		r := inventory.Root{Why: root.Why, Manifest: root.Manifest, Image: root.Image, Snapshot: root.Snapshot}
		for _, t := range root.Templates {
			r.Templates = append(r.Templates, inventory.Template(t))
		}
		gcRoots = append(gcRoots, r)
	}
	found, err := inventory.Collect{
		Baked: w.clients.Baked(), Store: storeURL, Roots: gcRoots,
		Judge: inventory.Judge{Now: time.Now(), Alive: func(owner.Holder) bool { return true }},
	}.Run(w.ctx)
	w.must(found, err)
	var versions []string
	for _, v := range found {
		w.t.Logf("%v %s %s of %s: %s", v.Remove, v.Kind, v.ID, v.Tags[owner.TagVersion], v.Reason)
		if v.Err != nil {
			w.t.Errorf("removing %s: %v", v.ID, v.Err)
		}
		if v.Remove {
			versions = append(versions, v.Tags[owner.TagVersion])
		}
	}
	slices.Sort(versions)
	return versions
}

// A group goes back to each release that was kept, whatever else was removed;
// one whose image is gone cannot be gone back to.
func TestRollbackAfterCollecting(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 2)
		release := func(v artifact.Version) {
			t.Helper()
			d := w.publish(v)
			res, err := w.engine(rollout.Options{}).Release(w.ctx, rollout.Intent{Version: v, Manifest: d, Baked: w.bakedFor(v, d)})
			if err != nil || res.Outcome != rollout.Released {
				t.Fatalf("releasing %s: %+v, %v", v, res, err)
			}
		}
		for i := range 5 {
			release(artifact.Version(fmt.Sprintf("v%d", i+1)))
		}
		w.bakedFor("v6", w.publish("v6")) // was never released
		wait(w.ctx, time.Minute)
		if diff := cmp.Diff([]string{"v1", "v1", "v1", "v2", "v2", "v2", "v6", "v6", "v6"}, w.collect(2)); diff != "" {
			t.Fatal(diff)
		}
		if again := w.collect(2); again != nil {
			t.Errorf("a second time removed something of %v", again)
		}
		for _, v := range []artifact.Version{"v3", "v4", "v3"} {
			res, err := w.engine(rollout.Options{}).Rollback(w.ctx, back(v))
			if err != nil || res.Outcome != rollout.Released {
				t.Fatalf("going back to %s: %+v, %v", v, res, err)
			}
			w.provenOn(v)
		}
		// The control: what was removed was needed for this.
		if res, err := w.engine(rollout.Options{}).Rollback(w.ctx, back("v1")); err == nil && res.Outcome == rollout.Released {
			t.Errorf("went back to v1, whose image is gone: %+v", res)
		}
		w.provenOn("v3")
	})
}

// What an unfinished run comes from and goes to stays, dead or alive.
func TestCollectingBesideARun(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 2)
		for _, v := range []artifact.Version{"v1", "v2"} {
			d := w.publish(v)
			if res, err := w.engine(rollout.Options{}).Release(w.ctx, rollout.Intent{Version: v, Manifest: d, Baked: w.bakedFor(v, d)}); err != nil || res.Outcome != rollout.Released {
				t.Fatalf("releasing %s: %+v, %v", v, res, err)
			}
		}
		d := w.publish("v3")
		ctx, cancel := context.WithCancel(w.ctx)
		b := w.engine(rollout.Options{AfterStep: func(s rollout.Step) {
			if s == rollout.StepTemplate {
				cancel()
			}
		}})
		if _, err := b.Release(ctx, rollout.Intent{Version: "v3", Manifest: d, Baked: w.bakedFor("v3", d)}); err == nil {
			t.Fatal("the run was not stopped")
		}
		wait(w.ctx, time.Minute)
		if removed := w.collect(1); removed != nil {
			t.Errorf("removed things of %v", removed)
		}
		if res, err := w.engine(rollout.Options{}).Resume(w.ctx); err != nil || res.Outcome != rollout.Released {
			t.Errorf("resuming: %+v, %v", res, err)
		}
		w.provenOn("v3")
	})
}
