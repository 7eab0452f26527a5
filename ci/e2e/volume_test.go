package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/wpbake/wpbake/node"
)

// testVolume releases with a release volume and goes back to a release that is
// an artifact alone, under load.
func (f *fleet) testVolume(t *testing.T) {
	s := f.on(t)
	if err := s.stack.Tree.EditTheme("Spring is coming."); err != nil {
		t.Fatal(err)
	}
	var v16 string
	tally := under(t, s.stack, Clients{Browsers: 2, Sessions: 2}, func(load *Load) {
		out, _ := s.run(0, "release", "v16", "--bake", "volume", "--json")
		v16 = s.release()
		s.fromVolumes(out)
		s.run(0, "rollback", "v1")
	})
	unharmed(t, tally)
	if tally.Releases[v16] == 0 {
		t.Errorf("clients met the releases %v, not %s", tally.Releases, v16)
	}
	s.serves("v1")
	for _, id := range nodes(t, s.stack) {
		if got := s.volumes(id); len(got) != 0 {
			t.Errorf("%s has the release volumes %q after the rollback", id, got)
		}
	}
}

// fromVolumes wants every node to serve what is on its release volume, without
// a download and without a way to change it.
func (s *shop) fromVolumes(released string) {
	t := s.t
	t.Helper()
	var result struct {
		Event, Run string
		Nodes      int
	}
	lines := strings.Split(strings.TrimSpace(released), "\n")
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &result); err != nil || result.Event != "result" {
		t.Fatalf("released: %s, %v", released, err)
	}
	reports := s.reports(result.Run)
	if len(reports) < result.Nodes || result.Nodes == 0 {
		t.Errorf("%d reports of %d nodes", len(reports), result.Nodes)
	}
	for _, r := range reports {
		if r.As != node.AsVolume || r.Downloaded != 0 || r.Verdict != node.Good || len(r.Notes) > 0 {
			t.Errorf("%s: as %q, %d bytes downloaded, %s, notes %q", r.Instance, r.As, r.Downloaded, r.Verdict, r.Notes)
		}
	}
	for _, id := range nodes(t, s.stack) {
		if got := s.volumes(id); len(got) != 1 {
			t.Errorf("%s has the release volumes %q", id, got)
		}
		if form := s.form(id); form != "erofs" {
			t.Errorf("the release lies on %s on %s", form, id)
		}
		s.cannotWrite(id)
		s.wants(s.command(id, "touch /tmp/by-root && ! touch "+docroot+"by-root 2>&1"), "Read-only file system")
		s.command(id, "wpbake node status --deep")
	}
}

// reports are those of a run's nodes.
func (s *shop) reports(run string) (reports []node.Report) {
	s.t.Helper()
	client := s3.NewFromConfig(s.stack.AWS(), func(o *s3.Options) { o.UsePathStyle = true })
	prefix := fmt.Sprintf("shop/rollouts/%s/%s/nodes/", Group, run)
	listed, err := client.ListObjectsV2(s.t.Context(), &s3.ListObjectsV2Input{Bucket: aws.String(Bucket), Prefix: &prefix})
	if err != nil {
		s.t.Fatal(err)
	}
	for _, object := range listed.Contents {
		got, err := client.GetObject(s.t.Context(), &s3.GetObjectInput{Bucket: aws.String(Bucket), Key: object.Key})
		if err != nil {
			s.t.Fatal(err)
		}
		var r node.Report
		text, err := io.ReadAll(got.Body)
		if err == nil {
			err = json.Unmarshal(text, &r)
		}
		if err != nil {
			s.t.Fatalf("%s: %v", *object.Key, err)
		}
		reports = append(reports, r)
	}
	return reports
}

// volumes are the snapshots of which a node has a volume.
func (s *shop) volumes(id string) (snapshots []string) {
	s.t.Helper()
	out, err := ec2.NewFromConfig(s.stack.AWS()).DescribeVolumes(s.t.Context(), &ec2.DescribeVolumesInput{
		Filters: []ec2types.Filter{{Name: aws.String("attachment.instance-id"), Values: []string{id}}},
	})
	if err != nil {
		s.t.Fatal(err)
	}
	for _, v := range out.Volumes {
		for _, a := range v.Attachments {
			if strings.HasPrefix(*a.Device, "/dev/sd") {
				snapshots = append(snapshots, aws.ToString(v.SnapshotId))
			}
		}
	}
	return snapshots
}
