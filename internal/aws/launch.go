package aws

import (
	"fmt"
	"slices"

	sdk "github.com/aws/aws-sdk-go-v2/aws"
	astypes "github.com/aws/aws-sdk-go-v2/service/autoscaling/types"

	"github.com/wpbake/wpbake/rollout"
)

// launch is what a group launches, or is wanted to: its own template or a
// mixed instances policy.
type launch struct {
	template *astypes.LaunchTemplateSpecification
	policy   *astypes.MixedInstancesPolicy
}

func groupLaunch(g astypes.AutoScalingGroup) launch {
	return launch{template: g.LaunchTemplate, policy: g.MixedInstancesPolicy}
}

// specs are every place that names a template: first the group's or the
// policy's own, then the overrides'.
func (l launch) specs() []*astypes.LaunchTemplateSpecification {
	if l.policy == nil || l.policy.LaunchTemplate == nil {
		if l.template == nil {
			return nil
		}
		return []*astypes.LaunchTemplateSpecification{l.template}
	}
	var specs []*astypes.LaunchTemplateSpecification
	if own := l.policy.LaunchTemplate.LaunchTemplateSpecification; own != nil {
		specs = append(specs, own)
	}
	for _, o := range l.policy.LaunchTemplate.Overrides {
		if o.LaunchTemplateSpecification != nil {
			specs = append(specs, o.LaunchTemplateSpecification)
		}
	}
	return specs
}

// templates are the distinct templates named, in the order of specs.
func (l launch) templates() []rollout.TemplateRef {
	var refs []rollout.TemplateRef
	for _, s := range l.specs() {
		if ref := templateRef(s); !slices.Contains(refs, ref) {
			refs = append(refs, ref)
		}
	}
	return refs
}

func (l launch) attributeBased() bool {
	return l.policy != nil && l.policy.LaunchTemplate != nil &&
		slices.ContainsFunc(l.policy.LaunchTemplate.Overrides, func(o astypes.LaunchTemplateOverrides) bool {
			return o.InstanceRequirements != nil
		})
}

// with returns the same launch at other versions, one per entry of templates.
// A policy is carried whole: a desired configuration replaces it, and what it
// does not say is taken off the group.
func (l launch) with(versions []rollout.TemplateRef) (launch, error) {
	old := l.templates()
	if len(old) != len(versions) {
		return launch{}, fmt.Errorf("the group names %d template versions, %d were given", len(old), len(versions))
	}
	for i, v := range versions {
		if old[i].ID != v.ID {
			return launch{}, fmt.Errorf("the group names template %q, %q was given", old[i].ID, v.ID)
		}
	}
	moved := l.clone()
	for _, s := range moved.specs() {
		v := versions[slices.Index(old, templateRef(s))]
		// Id and name together are refused.
		s.LaunchTemplateId, s.LaunchTemplateName, s.Version = &v.ID, nil, &v.Version
	}
	return moved, nil
}

// clone copies what with changes.
func (l launch) clone() launch {
	copied := func(s *astypes.LaunchTemplateSpecification) *astypes.LaunchTemplateSpecification {
		if s == nil {
			return nil
		}
		c := *s
		return &c
	}
	if l.policy == nil || l.policy.LaunchTemplate == nil {
		return launch{template: copied(l.template)}
	}
	policy, template := *l.policy, *l.policy.LaunchTemplate
	template.LaunchTemplateSpecification = copied(template.LaunchTemplateSpecification)
	template.Overrides = slices.Clone(template.Overrides)
	for i, o := range template.Overrides {
		template.Overrides[i].LaunchTemplateSpecification = copied(o.LaunchTemplateSpecification)
	}
	policy.LaunchTemplate = &template
	return launch{policy: &policy}
}

func templateRef(s *astypes.LaunchTemplateSpecification) rollout.TemplateRef {
	if s == nil {
		return rollout.TemplateRef{}
	}
	ref := rollout.TemplateRef{
		ID: sdk.ToString(s.LaunchTemplateId), Name: sdk.ToString(s.LaunchTemplateName), Version: sdk.ToString(s.Version),
	}
	if ref.Version == "" {
		ref.Version = "$Default" // what Auto Scaling means by none
	}
	return ref
}
