package aws

import (
	"context"
	"fmt"
	"slices"
	"strings"

	sdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/wpbake/wpbake/bake/inventory"
	"github.com/wpbake/wpbake/internal/owner"
	"github.com/wpbake/wpbake/rollout"
)

// baked are the finished images and snapshots of one region.
type baked struct {
	account
	clients *Clients
}

// Baked are the region's finished images and snapshots.
func (c *Clients) Baked() inventory.Baked { return baked{account{c.ec2}, c} }

// Finished looks at all images of the account, for any of them can be made of
// a snapshot.
func (b baked) Finished(ctx context.Context) ([]inventory.Resource, error) {
	pages := ec2.NewDescribeImagesPaginator(b.client, &ec2.DescribeImagesInput{Owners: []string{"self"}, IncludeDeprecated: sdk.Bool(true), IncludeDisabled: sdk.Bool(true)})
	var found []inventory.Resource
	users := map[string][]string{} // images by snapshot
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, about("self", err)
		}
		for _, image := range page.Images {
			for _, id := range snapshotsOf(image.BlockDeviceMappings) {
				users[id] = append(users[id], sdk.ToString(image.ImageId))
			}
			r := imageResource(image)
			if r.Tags[owner.TagManifest] != "" && (image.State == types.ImageStateAvailable || image.State == types.ImageStateDisabled) {
				found = append(found, r)
			}
		}
	}
	snapshots, err := b.describeSnapshots(ctx, []types.Filter{filter("tag-key", owner.TagManifest), filter("status", "completed")})
	if err != nil {
		return nil, about("tag-key="+owner.TagManifest, err)
	}
	for _, r := range snapshots {
		r.Within = users[r.ID]
		found = append(found, r)
	}
	return found, nil
}

func snapshotsOf(mappings []types.BlockDeviceMapping) []string {
	var ids []string
	for _, m := range mappings {
		if m.Ebs != nil && sdk.ToString(m.Ebs.SnapshotId) != "" {
			ids = append(ids, *m.Ebs.SnapshotId)
		}
	}
	return ids
}

// Shared tells whom permissions name.
func (b baked) Shared(ctx context.Context, r inventory.Resource) (string, error) {
	var with []string
	switch r.Kind {
	case inventory.Image:
		out, err := b.client.DescribeImageAttribute(ctx, &ec2.DescribeImageAttributeInput{ImageId: &r.ID, Attribute: types.ImageAttributeNameLaunchPermission})
		if err != nil {
			return "", about(r.ID, err)
		}
		for _, p := range out.LaunchPermissions {
			with = append(with, sdk.ToString(p.UserId)+string(p.Group)+sdk.ToString(p.OrganizationArn)+sdk.ToString(p.OrganizationalUnitArn))
		}
	case inventory.Snapshot:
		out, err := b.client.DescribeSnapshotAttribute(ctx, &ec2.DescribeSnapshotAttributeInput{SnapshotId: &r.ID, Attribute: types.SnapshotAttributeNameCreateVolumePermission})
		if err != nil {
			return "", about(r.ID, err)
		}
		for _, p := range out.CreateVolumePermissions {
			with = append(with, sdk.ToString(p.UserId)+string(p.Group))
		}
	default:
		return "", fmt.Errorf("asking with whom %s %q is shared: nobody can be", r.Kind, r.ID)
	}
	return strings.Join(with, ", "), nil
}

// References asks everything that can name an image or a snapshot.
func (b baked) References(ctx context.Context, roots []inventory.Root) ([]inventory.Reference, error) {
	l := &lookout{baked: b, seen: map[rollout.TemplateRef][]string{}}
	for _, look := range []func(context.Context) error{l.scaling, l.configurations, l.defaults, l.running, l.attached} {
		if err := look(ctx); err != nil {
			return nil, err
		}
	}
	for _, root := range roots {
		for _, t := range root.Templates {
			if err := l.template(ctx, rollout.TemplateRef(t), root.Why+": its template version "+refText(rollout.TemplateRef(t))); err != nil {
				return nil, err
			}
		}
	}
	return l.found, nil
}

// lookout gathers references.
type lookout struct {
	baked
	seen  map[rollout.TemplateRef][]string // what each template version names
	found []inventory.Reference
}

func (l *lookout) add(by string, ids ...string) {
	for _, id := range ids {
		if id != "" {
			l.found = append(l.found, inventory.Reference{ID: id, By: by})
		}
	}
}

// running are the images of instances, stopped ones included.
func (l *lookout) running(ctx context.Context) error {
	pages := ec2.NewDescribeInstancesPaginator(l.client, &ec2.DescribeInstancesInput{
		Filters: []types.Filter{filter("instance-state-name", "pending", "running", "stopping", "stopped", "shutting-down")},
	})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return about("all", err)
		}
		for _, reservation := range page.Reservations {
			for _, i := range reservation.Instances {
				l.add("instance "+sdk.ToString(i.InstanceId), sdk.ToString(i.ImageId))
			}
		}
	}
	return nil
}

// attached are the snapshots that instances' volumes come from.
func (l *lookout) attached(ctx context.Context) error {
	pages := ec2.NewDescribeVolumesPaginator(l.client, &ec2.DescribeVolumesInput{})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return about("all", err)
		}
		for _, v := range page.Volumes {
			for _, at := range v.Attachments {
				l.add(fmt.Sprintf("volume %s of instance %s", sdk.ToString(v.VolumeId), sdk.ToString(at.InstanceId)), sdk.ToString(v.SnapshotId))
			}
		}
	}
	return nil
}

// defaults are the versions of every template that are launched when nobody
// names one.
func (l *lookout) defaults(ctx context.Context) error {
	pages := ec2.NewDescribeLaunchTemplateVersionsPaginator(l.client, &ec2.DescribeLaunchTemplateVersionsInput{
		Versions: []string{"$Default", "$Latest"}, MaxResults: sdk.Int32(200),
	})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return about("$Default, $Latest", err)
		}
		for _, v := range page.LaunchTemplateVersions {
			ids, err := l.named(ctx, v)
			if err != nil {
				return err
			}
			word := "latest"
			if sdk.ToBool(v.DefaultVersion) {
				word = "default"
			}
			l.add(fmt.Sprintf("the %s version of template %s, %d,", word, sdk.ToString(v.LaunchTemplateName), sdk.ToInt64(v.VersionNumber)), ids...)
		}
	}
	return nil
}

// template looks at one template version. Nothing can be launched from one
// that is gone, in this region or at all.
func (l *lookout) template(ctx context.Context, ref rollout.TemplateRef, by string) error {
	ids, seen := l.seen[ref]
	if !seen {
		v, _, err := templates{l.client}.describe(ctx, ref)
		if isNoTemplate(err) {
			return nil
		}
		if err == nil {
			ids, err = l.named(ctx, v)
		}
		if err != nil {
			return err
		}
		l.seen[ref] = ids
	}
	l.add(by, ids...)
	return nil
}

// named are the image and the snapshots of a template version.
func (l *lookout) named(ctx context.Context, v types.LaunchTemplateVersion) ([]string, error) {
	if v.LaunchTemplateData == nil {
		return nil, nil
	}
	image, err := l.resolve(ctx, sdk.ToString(v.LaunchTemplateData.ImageId))
	if err != nil {
		return nil, err
	}
	ids := []string{image}
	for _, m := range v.LaunchTemplateData.BlockDeviceMappings {
		if m.Ebs != nil {
			ids = append(ids, sdk.ToString(m.Ebs.SnapshotId))
		}
	}
	return slices.DeleteFunc(ids, func(id string) bool { return id == "" }), nil
}
