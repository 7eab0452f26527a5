package ec2

import (
	"cmp"
	"context"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/wpbake/wpbake/internal/wire"
)

const timeLayout = "2006-01-02T15:04:05.000Z"

// describeTemplate needs the mutex.
func (s *Service) describeTemplate(t *template) *types.LaunchTemplate {
	return &types.LaunchTemplate{
		LaunchTemplateId:     aws.String(t.ID),
		LaunchTemplateName:   aws.String(t.Name),
		CreateTime:           aws.Time(t.Created),
		CreatedBy:            aws.String("arn:aws:iam::" + s.options.Account + ":root"),
		DefaultVersionNumber: aws.Int64(t.Default),
		LatestVersionNumber:  aws.Int64(t.latest()),
		Tags:                 s.tagsOf(t.ID),
	}
}

func describeVersion(t *template, v *version) *types.LaunchTemplateVersion {
	return &types.LaunchTemplateVersion{
		LaunchTemplateId:   aws.String(t.ID),
		LaunchTemplateName: aws.String(t.Name),
		VersionNumber:      aws.Int64(v.Number),
		VersionDescription: optional(v.Description),
		CreateTime:         aws.Time(v.Created),
		CreatedBy:          aws.String("arn:aws:iam::root"),
		DefaultVersion:     aws.Bool(v.Number == t.Default),
		LaunchTemplateData: copied(&v.Data),
	}
}

func (s *Service) describeLaunchTemplates(_ context.Context, in *ec2.DescribeLaunchTemplatesInput) (*ec2.DescribeLaunchTemplatesOutput, error) {
	if err := refuseDryRun(in.DryRun); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	found, err := s.templatesNamed(in)
	if err != nil {
		return nil, err
	}
	found, err = selected(found, in.Filters, func(t *template) attributes {
		return attributes{
			"create-time": {t.Created.Format(timeLayout)}, "launch-template-name": {t.Name},
		}.withTags(s.state.Tags[t.ID])
	})
	if err != nil {
		return nil, err
	}
	found, next, err := page(found, in.MaxResults, in.NextToken, limits{1, 200})
	if err != nil {
		return nil, err
	}
	out := &ec2.DescribeLaunchTemplatesOutput{NextToken: next}
	for _, t := range found {
		out.LaunchTemplates = append(out.LaunchTemplates, *s.describeTemplate(t))
	}
	return out, nil
}

// templatesNamed are those that are asked for, or all.
func (s *Service) templatesNamed(in *ec2.DescribeLaunchTemplatesInput) ([]*template, error) {
	var found []*template
	for _, id := range in.LaunchTemplateIds {
		t, err := s.template(templateRef{id: id})
		if err != nil {
			return nil, err
		}
		found = append(found, t)
	}
	for _, name := range in.LaunchTemplateNames {
		t, err := s.template(templateRef{name: name})
		if err != nil {
			return nil, err
		}
		found = append(found, t)
	}
	if len(in.LaunchTemplateIds)+len(in.LaunchTemplateNames) > 0 {
		return found, nil
	}
	for _, t := range s.state.Templates {
		if s.visible(t.Created) {
			found = append(found, t)
		}
	}
	return found, nil
}

// versionOf is a version with its template.
type versionOf struct {
	*template
	*version
}

func (s *Service) describeLaunchTemplateVersions(_ context.Context, in *ec2.DescribeLaunchTemplateVersionsInput) (*ec2.DescribeLaunchTemplateVersionsOutput, error) {
	if err := refuseDryRun(in.DryRun); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	found, err := s.versionsAsked(in)
	if err != nil {
		return nil, err
	}
	if found, err = selected(found, in.Filters, versionAttributes); err != nil {
		return nil, err
	}
	found, next, err := page(found, in.MaxResults, in.NextToken, limits{1, 200})
	if err != nil {
		return nil, err
	}
	out := &ec2.DescribeLaunchTemplateVersionsOutput{NextToken: next}
	for _, v := range found {
		described := describeVersion(v.template, v.version)
		if aws.ToBool(in.ResolveAlias) && described.LaunchTemplateData.ImageId != nil {
			image, err := s.resolveImage(*described.LaunchTemplateData.ImageId)
			if err != nil {
				return nil, err
			}
			described.LaunchTemplateData.ImageId = &image
		}
		out.LaunchTemplateVersions = append(out.LaunchTemplateVersions, *described)
	}
	return out, nil
}

// versionsAsked are of one template, or the latest or default of all.
func (s *Service) versionsAsked(in *ec2.DescribeLaunchTemplateVersionsInput) ([]versionOf, error) {
	if in.LaunchTemplateId == nil && in.LaunchTemplateName == nil {
		return s.aliasesOfAll(in.Versions)
	}
	ref, err := refOf(in.LaunchTemplateId, in.LaunchTemplateName)
	if err != nil {
		return nil, err
	}
	t, err := s.template(ref)
	if err != nil {
		return nil, err
	}
	if len(in.Versions) > 0 && (in.MinVersion != nil || in.MaxVersion != nil) {
		return nil, wire.Errorf("InvalidParameterCombination", "Versions can not be combined with MinVersion or MaxVersion.")
	}
	var found []versionOf
	for _, name := range in.Versions {
		v, err := s.version(t, name)
		if err != nil {
			return nil, err
		}
		if !slices.Contains(found, versionOf{t, v}) {
			found = append(found, versionOf{t, v})
		}
	}
	if len(in.Versions) == 0 {
		if found, err = s.versionsBetween(t, in.MinVersion, in.MaxVersion); err != nil {
			return nil, err
		}
	}
	slices.SortFunc(found, func(a, b versionOf) int { return cmp.Compare(b.Number, a.Number) }) // newest first
	return found, nil
}

func (s *Service) versionsBetween(t *template, least, most *string) ([]versionOf, error) {
	from, to := int64(1), int64(math.MaxInt64)
	var err error
	if least != nil {
		if from, err = s.number(t, *least); err != nil {
			return nil, err
		}
	}
	if most != nil {
		if to, err = s.number(t, *most); err != nil {
			return nil, err
		}
	}
	var found []versionOf
	for i := range t.Versions {
		if v := &t.Versions[i]; v.Number >= from && v.Number <= to && s.visible(v.Created) {
			found = append(found, versionOf{t, v})
		}
	}
	return found, nil
}

func (s *Service) aliasesOfAll(names []string) ([]versionOf, error) {
	if len(names) == 0 {
		return nil, wire.Errorf("MissingParameter", "Either a launch template or the versions $Latest or $Default must be specified.")
	}
	var found []versionOf
	for _, t := range s.state.Templates {
		for _, name := range names {
			if !strings.HasPrefix(name, "$") {
				return nil, wire.Errorf("InvalidParameterValue", "Without a launch template only $Latest and $Default can be described, not '%s'.", name)
			}
			v, err := s.version(t, name)
			if err == nil && s.visible(t.Created) && !slices.Contains(found, versionOf{t, v}) {
				found = append(found, versionOf{t, v})
			}
		}
	}
	return found, nil
}

func versionAttributes(v versionOf) attributes {
	data := v.Data
	a := attributes{
		"create-time":        {v.version.Created.Format(timeLayout)},
		"ebs-optimized":      {strconv.FormatBool(aws.ToBool(data.EbsOptimized))},
		"image-id":           {aws.ToString(data.ImageId)},
		"instance-type":      {string(data.InstanceType)},
		"is-default-version": {strconv.FormatBool(v.Number == v.Default)},
		"kernel-id":          {aws.ToString(data.KernelId)},
		"ram-disk-id":        {aws.ToString(data.RamDiskId)},
	}
	if data.IamInstanceProfile != nil {
		a["iam-instance-profile"] = []string{aws.ToString(data.IamInstanceProfile.Arn), aws.ToString(data.IamInstanceProfile.Name)}
	} else {
		a["iam-instance-profile"] = nil
	}
	return a
}
