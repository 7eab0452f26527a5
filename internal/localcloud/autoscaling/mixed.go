package autoscaling

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling/types"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"
)

// source is what nodes are launched from: a template, a mixed instances
// policy carried whole, or a launch configuration by its name.
type source struct {
	Template      *types.LaunchTemplateSpecification
	Policy        *types.MixedInstancesPolicy
	Configuration string
}

// give makes the source the one of a group's settings.
func (from source) give(set *types.AutoScalingGroup) {
	set.LaunchTemplate, set.MixedInstancesPolicy = from.Template, from.Policy
	set.LaunchConfigurationName = given(&from.Configuration)
}

// choice is one way a source can be launched, with its version resolved.
type choice struct {
	Configuration            string    // "" for one from a template
	Made                     time.Time // when its configuration was
	TemplateID, TemplateName string
	Version                  int64
	InstanceType             string
	ImageID                  string // of an override; "" leaves it to the template
	Weight                   string
}

// same tells whether two choices launch alike, as skip matching compares:
// template, version and what an override lays over it, never content.
func (c choice) same(other choice) bool {
	return c.Configuration == other.Configuration && c.TemplateID == other.TemplateID && c.Version == other.Version &&
		c.InstanceType == other.InstanceType && c.ImageID == other.ImageID
}

// older puts what a group launched from earlier first: launch configurations
// before templates, as termination policies do.
func (c choice) older(other choice) int {
	return cmp.Or(strings.Compare(c.TemplateID, other.TemplateID), cmp.Compare(c.Version, other.Version), c.Made.Compare(other.Made))
}

// specification is the template as an instance's description shows it.
func (c choice) specification() *types.LaunchTemplateSpecification {
	if c.Configuration != "" {
		return nil
	}
	return &types.LaunchTemplateSpecification{
		LaunchTemplateId:   aws.String(c.TemplateID),
		LaunchTemplateName: aws.String(c.TemplateName),
		Version:            aws.String(strconv.FormatInt(c.Version, 10)),
	}
}

// choices are a source resolved: at least one, the preferred first.
type choices struct {
	All []choice
	// SSM tells that an image is named by an SSM parameter.
	SSM bool
}

func (c choices) match(n *node) bool { return slices.ContainsFunc(c.All, n.Choice.same) }

// resolve looks up every template version that a source names, or its launch
// configuration.
func (s *Service) resolve(from source) (choices, error) {
	switch {
	case from.Configuration != "":
		return s.resolveConfiguration(from.Configuration)
	case from.Policy == nil:
		return s.resolveTemplate(from.Template, types.LaunchTemplateOverrides{})
	}
	base := from.Policy.LaunchTemplate
	if len(base.Overrides) == 0 {
		return s.resolveTemplate(base.LaunchTemplateSpecification, types.LaunchTemplateOverrides{})
	}
	var out choices
	for _, o := range base.Overrides {
		spec := base.LaunchTemplateSpecification
		if o.LaunchTemplateSpecification != nil {
			spec = o.LaunchTemplateSpecification
		}
		c, err := s.resolveTemplate(spec, o)
		if err != nil {
			return choices{}, err
		}
		out.All = append(out.All, c.All...)
		out.SSM = out.SSM || c.SSM
	}
	return out, nil
}

func (s *Service) resolveTemplate(spec *types.LaunchTemplateSpecification, over types.LaunchTemplateOverrides) (choices, error) {
	id, name, number, data, err := s.templateVersion(spec)
	if err != nil {
		return choices{}, err
	}
	c := choice{
		TemplateID: id, TemplateName: name, Version: number,
		InstanceType: aws.ToString(over.InstanceType),
		ImageID:      aws.ToString(over.ImageId),
		Weight:       aws.ToString(over.WeightedCapacity),
	}
	image := c.ImageID
	if data != nil {
		c.InstanceType = cmp.Or(c.InstanceType, string(data.InstanceType))
		image = cmp.Or(image, aws.ToString(data.ImageId))
	}
	return choices{All: []choice{c}, SSM: strings.HasPrefix(image, "resolve:ssm:")}, nil
}

// templateVersion asks by the id when there is one: asking by both is an error.
func (s *Service) templateVersion(spec *types.LaunchTemplateSpecification) (id, name string, number int64, data *ec2types.ResponseLaunchTemplateData, err error) {
	id, name = aws.ToString(spec.LaunchTemplateId), aws.ToString(spec.LaunchTemplateName)
	if id != "" {
		name = ""
	}
	return s.options.Instances.TemplateVersion(id, name, cmp.Or(aws.ToString(spec.Version), "$Default"))
}

// specifications are all the templates that a source names.
func (from source) specifications() []*types.LaunchTemplateSpecification {
	switch {
	case from.Configuration != "":
		return nil
	case from.Policy == nil:
		return []*types.LaunchTemplateSpecification{from.Template}
	}
	out := []*types.LaunchTemplateSpecification{from.Policy.LaunchTemplate.LaunchTemplateSpecification}
	for _, o := range from.Policy.LaunchTemplate.Overrides {
		if o.LaunchTemplateSpecification != nil {
			out = append(out, o.LaunchTemplateSpecification)
		}
	}
	return out
}

// floating tells whether a version of the source means something else
// tomorrow ($Latest, $Default).
func (from source) floating() bool {
	return slices.ContainsFunc(from.specifications(), func(spec *types.LaunchTemplateSpecification) bool {
		return !isNumber(aws.ToString(spec.Version))
	})
}

// byRequirements tells whether instance types are chosen by attributes.
func (from source) byRequirements() bool {
	return from.Policy != nil && slices.ContainsFunc(from.Policy.LaunchTemplate.Overrides, func(o types.LaunchTemplateOverrides) bool {
		return o.InstanceRequirements != nil
	})
}

func isNumber(version string) bool {
	_, err := strconv.ParseInt(version, 10, 64)
	return err == nil
}

// checkSource refuses what no source may be: none, several, or a template
// that names neither or both of id and name.
func checkSource(from source) error {
	count := 0
	for _, named := range []bool{from.Template != nil, from.Policy != nil, from.Configuration != ""} {
		if named {
			count++
		}
	}
	if count != 1 {
		return invalid("Valid requests must contain either LaunchTemplate, LaunchConfigurationName, InstanceId or MixedInstancesPolicy parameter.")
	}
	if from.Policy != nil && (from.Policy.LaunchTemplate == nil || from.Policy.LaunchTemplate.LaunchTemplateSpecification == nil) {
		return invalid("A mixed instances policy must include a launch template.")
	}
	for _, spec := range from.specifications() {
		if (aws.ToString(spec.LaunchTemplateId) == "") == (aws.ToString(spec.LaunchTemplateName) == "") {
			return invalid("Valid requests must contain either launchTemplateId or LaunchTemplateName")
		}
	}
	return nil
}

// checkedSource is a source from a request, checked and settled.
func (s *Service) checkedSource(from source) (source, error) {
	if err := checkSource(from); err != nil {
		return source{}, err
	}
	return s.settled(from)
}

// settled is the source with every template's id and name filled in and its
// version as it was sent, the way descriptions echo it.
func (s *Service) settled(from source) (source, error) {
	switch {
	case from.Configuration != "":
		_, err := s.configuration(from.Configuration)
		return from, err
	case from.Policy == nil:
		spec, err := s.settledTemplate(from.Template)
		return source{Template: spec}, err
	}
	policy := *from.Policy
	template := *policy.LaunchTemplate
	policy.LaunchTemplate = &template
	spec, err := s.settledTemplate(template.LaunchTemplateSpecification)
	if err != nil {
		return source{}, err
	}
	template.LaunchTemplateSpecification = spec
	template.Overrides = slices.Clone(template.Overrides)
	for i, o := range template.Overrides {
		if o.LaunchTemplateSpecification == nil {
			continue
		}
		if template.Overrides[i].LaunchTemplateSpecification, err = s.settledTemplate(o.LaunchTemplateSpecification); err != nil {
			return source{}, err
		}
	}
	return source{Policy: &policy}, nil
}

func (s *Service) settledTemplate(spec *types.LaunchTemplateSpecification) (*types.LaunchTemplateSpecification, error) {
	id, name, _, _, err := s.templateVersion(spec)
	if err != nil {
		return nil, invalid("You must use a valid fully-formed launch template. %s", message(err))
	}
	version := cmp.Or(aws.ToString(spec.Version), "$Default")
	return &types.LaunchTemplateSpecification{LaunchTemplateId: &id, LaunchTemplateName: &name, Version: &version}, nil
}
