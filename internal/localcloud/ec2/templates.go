package ec2

import (
	"cmp"
	"context"
	"regexp"
	"slices"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/wpbake/wpbake/internal/wire"
)

// template is a launch template. Versions are in the order of their numbers.
type template struct {
	ID, Name string
	Created  time.Time
	Default  int64
	Given    int64 // highest number ever given: numbers are not used twice
	Versions []version
}

type version struct {
	Number      int64
	Description string
	Created     time.Time
	Data        types.ResponseLaunchTemplateData
}

// templateRef names a template by one of two ways.
type templateRef struct{ id, name string }

func refOf(id, name *string) (templateRef, error) {
	ref := templateRef{aws.ToString(id), aws.ToString(name)}
	switch {
	case ref.id == "" && ref.name == "":
		return ref, wire.Errorf("MissingParameter", "Either a launch template ID or a launch template name must be specified.")
	case ref.id != "" && ref.name != "":
		return ref, wire.Errorf("InvalidParameterCombination", "The launch template ID and the launch template name can not be specified at the same time.")
	}
	return ref, nil
}

// template finds one; it needs the mutex.
func (s *Service) template(ref templateRef) (*template, error) {
	if ref.id != "" && !isID("lt", ref.id) {
		return nil, wire.Errorf("InvalidLaunchTemplateId.Malformed", "The specified launch template ID, %s, is not valid.", ref.id)
	}
	for _, t := range s.state.Templates {
		if (ref.id == t.ID || ref.id == "" && ref.name == t.Name) && s.visible(t.Created) {
			return t, nil
		}
	}
	if ref.id != "" {
		return nil, wire.Errorf("InvalidLaunchTemplateId.NotFound", "The specified launch template, with template ID %s, does not exist.", ref.id)
	}
	return nil, wire.Errorf("InvalidLaunchTemplateName.NotFoundException", "The specified launch template, with template name %s, does not exist.", ref.name)
}

func (t *template) latest() int64 { return t.Versions[len(t.Versions)-1].Number }

// number resolves "$Latest", "$Default" and "" (the default) among versions
// that are visible.
func (s *Service) number(t *template, name string) (int64, error) {
	switch name {
	case "", "$Default":
		return t.Default, nil
	case "$Latest":
		for _, v := range slices.Backward(t.Versions) {
			if s.visible(v.Created) {
				return v.Number, nil
			}
		}
		return t.latest(), nil
	}
	number, err := strconv.ParseInt(name, 10, 64)
	if err != nil || number < 1 {
		return 0, wire.Errorf("InvalidParameterValue", "Invalid launch template version: either '$Default', '$Latest', or a numeric version are allowed. You specified '%s'.", name)
	}
	return number, nil
}

// version finds one by number or alias; it needs the mutex.
func (s *Service) version(t *template, name string) (*version, error) {
	number, err := s.number(t, name)
	if err != nil {
		return nil, err
	}
	i, ok := slices.BinarySearchFunc(t.Versions, number, func(v version, n int64) int { return cmp.Compare(v.Number, n) })
	if !ok || !s.visible(t.Versions[i].Created) {
		return nil, wire.Errorf("InvalidLaunchTemplateId.VersionNotFound",
			"Could not find the specified version %d for the launch template with ID %s.", number, t.ID)
	}
	return &t.Versions[i], nil
}

// TemplateVersion resolves a template version, "$Latest" and "$Default"
// included, for services that launch from it.
func (s *Service) TemplateVersion(templateID, templateName, name string) (id, resolvedName string, number int64, data *types.ResponseLaunchTemplateData, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t, err := s.template(templateRef{templateID, templateName})
	if err != nil {
		return "", "", 0, nil, err
	}
	v, err := s.version(t, name)
	if err != nil {
		return "", "", 0, nil, err
	}
	return t.ID, t.Name, v.Number, copied(&v.Data), nil
}

func (s *Service) createLaunchTemplate(_ context.Context, in *ec2.CreateLaunchTemplateInput) (*ec2.CreateLaunchTemplateOutput, error) {
	name := aws.ToString(in.LaunchTemplateName)
	if !regexp.MustCompile(`^[a-zA-Z0-9().\-/_]{3,128}$`).MatchString(name) {
		return nil, wire.Errorf("InvalidLaunchTemplateName.MalformedException", "Launch template name '%s' must have 3 to 128 letters, digits and ().-/_", name)
	}
	tags, err := specifiedTags(in.TagSpecifications, types.ResourceTypeLaunchTemplate)
	if err != nil {
		return nil, err
	}
	first, err := newVersion(in.LaunchTemplateData, in.VersionDescription, nil)
	if err != nil {
		return nil, err
	}
	out, err := s.addTemplate(in, first, tags)
	if err != nil {
		return nil, err
	}
	out.Warning = warningOf(&first.Data)
	s.options.Changed()
	return out, nil
}

func (s *Service) addTemplate(in *ec2.CreateLaunchTemplateInput, first version, tags map[string]string) (*ec2.CreateLaunchTemplateOutput, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	made, err := s.remembered("CreateLaunchTemplate", in.ClientToken, in)
	if err != nil {
		return nil, err
	}
	for _, t := range s.state.Templates {
		if made != nil && t.ID == made[0] {
			return &ec2.CreateLaunchTemplateOutput{LaunchTemplate: s.describeTemplate(t)}, nil
		}
		if t.Name == *in.LaunchTemplateName {
			return nil, wire.Errorf("InvalidLaunchTemplateName.AlreadyExistsException", "Launch template name already in use.")
		}
	}
	if err := refuseDryRun(in.DryRun); err != nil {
		return nil, err
	}
	first.Number = 1
	t := &template{ID: newID("lt"), Name: *in.LaunchTemplateName, Created: first.Created, Default: 1, Given: 1, Versions: []version{first}}
	s.state.Templates = append(s.state.Templates, t)
	s.addTags(t.ID, tags)
	s.remember("CreateLaunchTemplate", in.ClientToken, in, t.ID)
	return &ec2.CreateLaunchTemplateOutput{LaunchTemplate: s.describeTemplate(t)}, nil
}

func (s *Service) createLaunchTemplateVersion(_ context.Context, in *ec2.CreateLaunchTemplateVersionInput) (*ec2.CreateLaunchTemplateVersionOutput, error) {
	ref, err := refOf(in.LaunchTemplateId, in.LaunchTemplateName)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	described, err := s.addVersion(ref, in)
	s.mu.Unlock()
	if err != nil {
		return nil, err
	}
	s.options.Changed()
	return &ec2.CreateLaunchTemplateVersionOutput{
		LaunchTemplateVersion: described, Warning: warningOf(described.LaunchTemplateData),
	}, nil
}

func (s *Service) addVersion(ref templateRef, in *ec2.CreateLaunchTemplateVersionInput) (*types.LaunchTemplateVersion, error) {
	t, err := s.template(ref)
	if err != nil {
		return nil, err
	}
	made, err := s.remembered("CreateLaunchTemplateVersion", in.ClientToken, in)
	if err != nil {
		return nil, err
	}
	if made != nil {
		if again, err := s.version(t, made[0]); err == nil {
			return describeVersion(t, again), nil
		}
	}
	var source *types.ResponseLaunchTemplateData
	if in.SourceVersion != nil {
		v, err := s.version(t, *in.SourceVersion)
		if err != nil {
			return nil, err
		}
		source = &v.Data
	}
	added, err := newVersion(in.LaunchTemplateData, in.VersionDescription, source)
	if err != nil {
		return nil, err
	}
	if err := refuseDryRun(in.DryRun); err != nil {
		return nil, err
	}
	t.Given++
	added.Number = t.Given
	t.Versions = append(t.Versions, added)
	s.remember("CreateLaunchTemplateVersion", in.ClientToken, in, strconv.FormatInt(added.Number, 10))
	return describeVersion(t, &added), nil
}

func (s *Service) modifyLaunchTemplate(_ context.Context, in *ec2.ModifyLaunchTemplateInput) (*ec2.ModifyLaunchTemplateOutput, error) {
	ref, err := refOf(in.LaunchTemplateId, in.LaunchTemplateName)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	t, err := s.template(ref)
	if err != nil {
		return nil, err
	}
	v, err := s.version(t, aws.ToString(in.DefaultVersion))
	if err != nil {
		return nil, err
	}
	if err := refuseDryRun(in.DryRun); err != nil {
		return nil, err
	}
	t.Default = v.Number
	s.options.Changed()
	return &ec2.ModifyLaunchTemplateOutput{LaunchTemplate: s.describeTemplate(t)}, nil
}

func (s *Service) deleteLaunchTemplate(_ context.Context, in *ec2.DeleteLaunchTemplateInput) (*ec2.DeleteLaunchTemplateOutput, error) {
	ref, err := refOf(in.LaunchTemplateId, in.LaunchTemplateName)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	t, err := s.template(ref)
	if err != nil {
		return nil, err
	}
	if err := refuseDryRun(in.DryRun); err != nil {
		return nil, err
	}
	out := &ec2.DeleteLaunchTemplateOutput{LaunchTemplate: s.describeTemplate(t)}
	s.state.Templates = slices.DeleteFunc(s.state.Templates, func(other *template) bool { return other == t })
	delete(s.state.Tags, t.ID)
	s.options.Changed()
	return out, nil
}

// deleteLaunchTemplateVersions succeeds as a call even when no version could
// be deleted: each has its own verdict.
func (s *Service) deleteLaunchTemplateVersions(_ context.Context, in *ec2.DeleteLaunchTemplateVersionsInput) (*ec2.DeleteLaunchTemplateVersionsOutput, error) {
	ref, err := refOf(in.LaunchTemplateId, in.LaunchTemplateName)
	if err != nil {
		return nil, err
	}
	if len(in.Versions) == 0 || len(in.Versions) > 200 {
		return nil, wire.Errorf("InvalidParameterValue", "Between 1 and 200 versions must be specified, not %d.", len(in.Versions))
	}
	if err := refuseDryRun(in.DryRun); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	t, err := s.template(ref)
	out := &ec2.DeleteLaunchTemplateVersionsOutput{}
	for _, name := range in.Versions {
		if err == nil {
			ref = templateRef{t.ID, t.Name}
		}
		number, refused := s.deleteVersion(t, err, name)
		if refused != nil {
			out.UnsuccessfullyDeletedLaunchTemplateVersions = append(out.UnsuccessfullyDeletedLaunchTemplateVersions,
				types.DeleteLaunchTemplateVersionsResponseErrorItem{
					LaunchTemplateId: optional(ref.id), LaunchTemplateName: optional(ref.name), VersionNumber: &number, ResponseError: refused,
				})
			continue
		}
		out.SuccessfullyDeletedLaunchTemplateVersions = append(out.SuccessfullyDeletedLaunchTemplateVersions,
			types.DeleteLaunchTemplateVersionsResponseSuccessItem{LaunchTemplateId: &t.ID, LaunchTemplateName: &t.Name, VersionNumber: &number})
	}
	s.options.Changed()
	return out, nil
}

// deleteVersion deletes one version of t, unless finding t has failed.
func (s *Service) deleteVersion(t *template, missing error, name string) (int64, *types.ResponseError) {
	refused := func(code types.LaunchTemplateErrorCode, message string) *types.ResponseError {
		return &types.ResponseError{Code: code, Message: &message}
	}
	number, _ := strconv.ParseInt(name, 10, 64)
	if missing != nil {
		return number, refused(errorCodeOf(missing), missing.Error())
	}
	v, err := s.version(t, name)
	if err != nil {
		return number, refused(types.LaunchTemplateErrorCodeLaunchTemplateVersionDoesNotExist, err.Error())
	}
	if v.Number == t.Default {
		return v.Number, refused(types.LaunchTemplateErrorCodeUnexpectedError, "The default version of a launch template can not be deleted.")
	}
	number = v.Number
	t.Versions = slices.DeleteFunc(t.Versions, func(v version) bool { return v.Number == number })
	return number, nil
}

func errorCodeOf(missing error) types.LaunchTemplateErrorCode {
	known, _ := missing.(*wire.Error)
	switch {
	case known == nil:
		return types.LaunchTemplateErrorCodeUnexpectedError
	case known.Code == "InvalidLaunchTemplateId.Malformed":
		return types.LaunchTemplateErrorCodeLaunchTemplateIdMalformed
	case known.Code == "InvalidLaunchTemplateId.NotFound":
		return types.LaunchTemplateErrorCodeLaunchTemplateIdDoesNotExist
	}
	return types.LaunchTemplateErrorCodeLaunchTemplateNameDoesNotExist
}

// optional is nil for "".
func optional(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}
