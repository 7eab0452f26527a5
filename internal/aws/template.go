package aws

import (
	"cmp"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	sdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/smithy-go"

	"github.com/wpbake/wpbake/rollout"
)

type templates struct{ client *ec2.Client }

func (t templates) Version(ctx context.Context, ref rollout.TemplateRef) (rollout.TemplateVersion, error) {
	v, _, err := t.describe(ctx, ref)
	if err != nil {
		return rollout.TemplateVersion{}, err
	}
	return toTemplateVersion(v)
}

// describe also returns the answer's launch template data as it came, because
// the SDK drops fields that are newer than itself.
func (t templates) describe(ctx context.Context, ref rollout.TemplateRef) (types.LaunchTemplateVersion, *element, error) {
	in := &ec2.DescribeLaunchTemplateVersionsInput{Versions: []string{cmp.Or(ref.Version, "$Default")}}
	if in.LaunchTemplateId = &ref.ID; ref.ID == "" {
		in.LaunchTemplateId, in.LaunchTemplateName = nil, &ref.Name
	}
	var body []byte
	out, err := t.client.DescribeLaunchTemplateVersions(ctx, in, keepBody(&body))
	if err != nil {
		return types.LaunchTemplateVersion{}, nil, about(refText(ref), err)
	}
	if len(out.LaunchTemplateVersions) == 0 {
		return types.LaunchTemplateVersion{}, nil, &Error{
			Service: ec2.ServiceID, Operation: "DescribeLaunchTemplateVersions", Resource: refText(ref),
			Message: rollout.ErrNoTemplate.Error(), kind: rollout.ErrNoTemplate,
		}
	}
	root, err := parseXML(body)
	if err != nil {
		return types.LaunchTemplateVersion{}, nil, fmt.Errorf("reading launch template %q: %w", refText(ref), err)
	}
	return out.LaunchTemplateVersions[0], root.find("launchTemplateData"), nil
}

func (t templates) Versions(ctx context.Context, templateID string) ([]rollout.TemplateVersion, error) {
	pages := ec2.NewDescribeLaunchTemplateVersionsPaginator(t.client, &ec2.DescribeLaunchTemplateVersionsInput{
		LaunchTemplateId: &templateID, MaxResults: sdk.Int32(200),
	})
	var all []types.LaunchTemplateVersion
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, about(templateID, err)
		}
		all = append(all, page.LaunchTemplateVersions...)
	}
	slices.SortFunc(all, func(a, b types.LaunchTemplateVersion) int {
		return cmp.Compare(sdk.ToInt64(b.VersionNumber), sdk.ToInt64(a.VersionNumber))
	})
	found := make([]rollout.TemplateVersion, len(all))
	for i, v := range all {
		var err error
		if found[i], err = toTemplateVersion(v); err != nil {
			return nil, err
		}
	}
	return found, nil
}

func toTemplateVersion(v types.LaunchTemplateVersion) (rollout.TemplateVersion, error) {
	version := rollout.TemplateVersion{
		TemplateRef: rollout.TemplateRef{
			ID:      sdk.ToString(v.LaunchTemplateId),
			Name:    sdk.ToString(v.LaunchTemplateName),
			Version: strconv.FormatInt(sdk.ToInt64(v.VersionNumber), 10),
		},
		Description: sdk.ToString(v.VersionDescription),
		Created:     sdk.ToTime(v.CreateTime),
	}
	if v.LaunchTemplateData == nil {
		return version, nil
	}
	version.ImageID = sdk.ToString(v.LaunchTemplateData.ImageId)
	var err error
	version.UserData, err = base64.StdEncoding.DecodeString(sdk.ToString(v.LaunchTemplateData.UserData))
	if err != nil {
		return version, fmt.Errorf("decoding user data of launch template %q: %w", refText(version.TemplateRef), err)
	}
	return version, nil
}

// Create sends all data itself: with a source version AWS would drop the
// snapshots of inherited block devices, and nothing could be taken away.
func (t templates) Create(ctx context.Context, n rollout.NewTemplateVersion) (rollout.TemplateVersion, error) {
	source, sourceData, err := t.describe(ctx, n.From)
	if err != nil {
		return rollout.TemplateVersion{}, err
	}
	if n.Made.Version != "" {
		return t.readBack(ctx, n.Made, n, sourceData)
	}
	data, err := requestData(source.LaunchTemplateData)
	if err != nil {
		return rollout.TemplateVersion{}, fmt.Errorf("copying launch template %q: %w", refText(n.From), err)
	}
	data.UserData = sdk.String(base64.StdEncoding.EncodeToString(n.UserData))
	if err := putContent(data, n); err != nil {
		return rollout.TemplateVersion{}, fmt.Errorf("copying launch template %q: %w", refText(n.From), err)
	}
	out, err := t.client.CreateLaunchTemplateVersion(ctx, &ec2.CreateLaunchTemplateVersionInput{
		LaunchTemplateId: source.LaunchTemplateId, LaunchTemplateData: data,
		VersionDescription: &n.Description, ClientToken: &n.Token,
	})
	if err != nil {
		return rollout.TemplateVersion{}, about(refText(n.From), err)
	}
	if err := warning(out.Warning, n.From); err != nil {
		return rollout.TemplateVersion{}, err
	}
	made := rollout.TemplateRef{ID: sdk.ToString(source.LaunchTemplateId), Version: strconv.FormatInt(sdk.ToInt64(out.LaunchTemplateVersion.VersionNumber), 10)}
	return t.readBack(ctx, made, n, sourceData)
}

// warning is how AWS says that nothing can be launched from the data.
func warning(w *types.ValidationWarning, ref rollout.TemplateRef) error {
	if w == nil || len(w.Errors) == 0 {
		return nil
	}
	return &Error{
		Service: ec2.ServiceID, Operation: "CreateLaunchTemplateVersion", Resource: refText(ref),
		Code: sdk.ToString(w.Errors[0].Code), Message: tidy(sdk.ToString(w.Errors[0].Message)), kind: rollout.ErrBadTemplate,
	}
}

// readBack waits until the new version can be described, and compares it with
// its source and with what was asked for.
func (t templates) readBack(ctx context.Context, made rollout.TemplateRef, n rollout.NewTemplateVersion, source *element) (rollout.TemplateVersion, error) {
	var described types.LaunchTemplateVersion
	var data *element
	err := settle(ctx, isNoTemplate, func() (err error) {
		described, data, err = t.describe(ctx, made)
		return err
	})
	if err != nil {
		return rollout.TemplateVersion{}, err
	}
	version, err := toTemplateVersion(described)
	if err != nil {
		return rollout.TemplateVersion{}, err
	}
	changed := changedFields(withoutContent(source, n, n.Drop), withoutContent(data, n, volumeOf(n)))
	if n.Image != "" && version.ImageID != n.Image {
		changed = append(changed, "imageId")
	}
	if n.Volume != nil && !attaches(described.LaunchTemplateData, *n.Volume) {
		changed = append(changed, "blockDeviceMapping")
	}
	if string(version.UserData) != string(n.UserData) {
		changed = append(changed, "userData")
	}
	if version.Description != n.Description {
		changed = append(changed, "versionDescription")
	}
	if len(changed) > 0 {
		return rollout.TemplateVersion{}, &Differs{Template: made, Source: n.From, Fields: changed}
	}
	return version, nil
}

// MayCreate sends data of its own, because an empty request is refused before
// permissions are looked at.
func (t templates) MayCreate(ctx context.Context, templateID string) error {
	_, err := t.client.CreateLaunchTemplateVersion(ctx, &ec2.CreateLaunchTemplateVersionInput{
		LaunchTemplateId: &templateID, DryRun: sdk.Bool(true),
		LaunchTemplateData: &types.RequestLaunchTemplateData{UserData: sdk.String(base64.StdEncoding.EncodeToString([]byte("#!/bin/sh\n")))},
	})
	if api := smithy.APIError(nil); errors.As(err, &api) && api.ErrorCode() == "DryRunOperation" {
		return nil
	}
	return about(templateID, err)
}

func refText(r rollout.TemplateRef) string {
	return cmp.Or(r.ID, r.Name) + ":" + cmp.Or(r.Version, "$Default")
}

// Differs says that AWS saved something else than it was asked to: a field
// newer than this program's SDK was lost, or AWS filled one in. The group
// still has its old version; nothing uses the new one.
type Differs struct {
	Template rollout.TemplateRef
	Source   rollout.TemplateRef
	Fields   []string // as the EC2 API spells them
}

func (e *Differs) Error() string {
	return fmt.Sprintf("launch template version %q differs from %q in %s", refText(e.Template), refText(e.Source), strings.Join(e.Fields, ", "))
}

// Is makes it one of rollout's errors.
func (e *Differs) Is(target error) bool { return target == rollout.ErrBadTemplate }

// Hint says how to get around it.
func (e *Differs) Hint() string {
	return "no group uses the new version; a newer wpbake may know the field, or take it out of the template"
}
