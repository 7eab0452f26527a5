package aws

import (
	"testing"

	sdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling/types"
	"github.com/google/go-cmp/cmp"

	"github.com/wpbake/wpbake/rollout"
)

func spec(id, name, version string) *types.LaunchTemplateSpecification {
	s := &types.LaunchTemplateSpecification{LaunchTemplateId: &id}
	if name != "" {
		s.LaunchTemplateName = &name
	}
	if version != "" {
		s.Version = &version
	}
	return s
}

func mixedPolicy() *types.MixedInstancesPolicy {
	return &types.MixedInstancesPolicy{
		InstancesDistribution: &types.InstancesDistribution{SpotMaxPrice: sdk.String("0.05"), OnDemandBaseCapacity: sdk.Int32(2)},
		LaunchTemplate: &types.LaunchTemplate{
			LaunchTemplateSpecification: spec("lt-a", "a", "3"),
			Overrides: []types.LaunchTemplateOverrides{
				{InstanceType: sdk.String("m6i.large"), WeightedCapacity: sdk.String("2")},
				{InstanceType: sdk.String("m6g.large"), LaunchTemplateSpecification: spec("lt-b", "b", "$Latest"), ImageId: sdk.String("ami-1")},
				{InstanceType: sdk.String("m6a.large"), LaunchTemplateSpecification: spec("lt-a", "a", "3")},
				{InstanceType: sdk.String("m5.large"), LaunchTemplateSpecification: spec("lt-a", "a", "")},
			},
		},
	}
}

func TestMixedLaunch(t *testing.T) {
	policy := mixedPolicy()
	l := launch{policy: policy}
	want := []rollout.TemplateRef{{ID: "lt-a", Name: "a", Version: "3"}, {ID: "lt-b", Name: "b", Version: "$Latest"}, {ID: "lt-a", Name: "a", Version: "$Default"}}
	if diff := cmp.Diff(want, l.templates()); diff != "" {
		t.Fatal(diff)
	}
	moved, err := l.with([]rollout.TemplateRef{{ID: "lt-a", Version: "4"}, {ID: "lt-b", Version: "8"}, {ID: "lt-a", Version: "5"}})
	if err != nil {
		t.Fatal(err)
	}
	expect := mixedPolicy()
	expect.LaunchTemplate.LaunchTemplateSpecification = spec("lt-a", "", "4")
	expect.LaunchTemplate.Overrides[1].LaunchTemplateSpecification = spec("lt-b", "", "8")
	expect.LaunchTemplate.Overrides[2].LaunchTemplateSpecification = spec("lt-a", "", "4")
	expect.LaunchTemplate.Overrides[3].LaunchTemplateSpecification = spec("lt-a", "", "5")
	if diff := cmp.Diff(launch{policy: expect}, moved, sameData, cmp.AllowUnexported(launch{})); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(mixedPolicy(), policy, sameData); diff != "" {
		t.Errorf("the original changed: %s", diff)
	}
}

func TestLaunchRefusesOtherTemplates(t *testing.T) {
	l := launch{template: spec("lt-a", "a", "3")}
	for name, refs := range map[string][]rollout.TemplateRef{
		"none": nil, "another": {{ID: "lt-b", Version: "1"}}, "too many": {{ID: "lt-a", Version: "1"}, {ID: "lt-a", Version: "2"}},
	} {
		if _, err := l.with(refs); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if refs := (launch{}).templates(); len(refs) != 0 {
		t.Errorf("a launch configuration names %v", refs)
	}
}

func TestAttributeBased(t *testing.T) {
	policy := mixedPolicy()
	if (launch{policy: policy}).attributeBased() || (launch{}).attributeBased() {
		t.Error("types are named")
	}
	policy.LaunchTemplate.Overrides[0].InstanceRequirements = &types.InstanceRequirements{}
	if !(launch{policy: policy}).attributeBased() {
		t.Error("an override has requirements")
	}
}
