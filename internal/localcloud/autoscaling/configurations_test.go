package autoscaling

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling/types"
)

const old = "shop-2019"

// configure makes a launch configuration.
func (w *world) configure(name string, changes ...func(*autoscaling.CreateLaunchConfigurationInput)) error {
	in := &autoscaling.CreateLaunchConfigurationInput{
		LaunchConfigurationName: &name, ImageId: aws.String("ami-0123456789abcdef0"), InstanceType: aws.String("t3.small"),
	}
	for _, change := range changes {
		change(in)
	}
	_, err := w.service.createConfiguration(w.Context(), in)
	return err
}

func (w *world) unconfigure(name string) error {
	_, err := w.service.deleteConfiguration(w.Context(), &autoscaling.DeleteLaunchConfigurationInput{LaunchConfigurationName: &name})
	return err
}

// oldGroup is a group of n nodes on a launch configuration.
func (w *world) oldGroup(n int32) {
	w.Helper()
	if err := w.configure(old); err != nil {
		w.Fatal(err)
	}
	w.group(n, func(in *autoscaling.CreateAutoScalingGroupInput) {
		in.LaunchTemplate, in.LaunchConfigurationName = nil, aws.String(old)
	})
}

// refused wants an error with a code and a part of its text.
func (w *world) refused(err error, want, text string) {
	w.Helper()
	if code(err) != want || !strings.Contains(err.Error(), text) {
		w.Errorf("got %v, want %s with %q", err, want, text)
	}
}

func TestCreateLaunchConfigurationRefuses(t *testing.T) {
	type input = autoscaling.CreateLaunchConfigurationInput
	for name, test := range map[string]struct {
		change func(*input)
		code   string
		text   string
	}{
		"no name":      {func(in *input) { in.LaunchConfigurationName = nil }, "ValidationError", "launchConfigurationName"},
		"long name":    {func(in *input) { in.LaunchConfigurationName = aws.String(strings.Repeat("x", 256)) }, "ValidationError", "between 1 and 255"},
		"no image":     {func(in *input) { in.ImageId = nil }, "ValidationError", "both the ImageId and InstanceType parameters"},
		"no type":      {func(in *input) { in.InstanceType = nil }, "ValidationError", "both the ImageId and InstanceType parameters"},
		"ssm image":    {func(in *input) { in.ImageId = aws.String("resolve:ssm:/image") }, "ValidationError", "is invalid"},
		"an instance":  {func(in *input) { in.InstanceId = aws.String("i-1") }, "ValidationError", "from an instance"},
		"plain data":   {func(in *input) { in.UserData = aws.String("#!/bin/sh") }, "ValidationError", "BASE64"},
		"much data":    {func(in *input) { in.UserData = aws.String(encoded(maxUserData + 1)) }, "ValidationError", "16384 bytes"},
		"taken":        {func(in *input) { in.LaunchConfigurationName = aws.String(old) }, "AlreadyExists", "Launch Configuration by this name already exists"},
		"nothing else": {func(in *input) { in.UserData = aws.String(encoded(maxUserData)) }, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				if err := w.configure(old); err != nil {
					t.Fatal(err)
				}
				if err := w.configure("new", test.change); test.code == "" && err != nil {
					t.Error(err)
				} else if test.code != "" {
					w.refused(err, test.code, test.text)
				}
			})
		})
	}
}

func encoded(size int) string { return base64.StdEncoding.EncodeToString(make([]byte, size)) }

func TestDescribeLaunchConfigurations(t *testing.T) {
	inWorld(t, func(w *world) {
		for n := range 51 {
			if err := w.configure(fmt.Sprintf("c%02d", 50-n)); err != nil {
				t.Fatal(err)
			}
		}
		describe := func(in autoscaling.DescribeLaunchConfigurationsInput) *autoscaling.DescribeLaunchConfigurationsOutput {
			return must(w.service.describeConfigurations(w.Context(), &in))
		}
		first := describe(autoscaling.DescribeLaunchConfigurationsInput{})
		if len(first.LaunchConfigurations) != 50 || first.NextToken == nil {
			t.Fatalf("first page of %d", len(first.LaunchConfigurations))
		}
		last := describe(autoscaling.DescribeLaunchConfigurationsInput{NextToken: first.NextToken})
		if c := last.LaunchConfigurations; len(c) != 1 || *c[0].LaunchConfigurationName != "c50" || last.NextToken != nil {
			t.Errorf("last page %+v", last)
		}
		named := describe(autoscaling.DescribeLaunchConfigurationsInput{LaunchConfigurationNames: []string{"c07", "none"}}).LaunchConfigurations
		if len(named) != 1 || *named[0].ImageId != "ami-0123456789abcdef0" || *named[0].UserData != "" || *named[0].EbsOptimized || !*named[0].InstanceMonitoring.Enabled ||
			!strings.HasSuffix(*named[0].LaunchConfigurationARN, ":launchConfigurationName/c07") || named[0].CreatedTime.IsZero() {
			t.Errorf("by name %+v", named)
		}
		_, err := w.service.describeConfigurations(w.Context(), &autoscaling.DescribeLaunchConfigurationsInput{LaunchConfigurationNames: make([]string, 51)})
		w.refused(err, "ValidationError", "limited to 50")
		_, err = w.service.describeConfigurations(w.Context(), &autoscaling.DescribeLaunchConfigurationsInput{MaxRecords: aws.Int32(101)})
		w.refused(err, "ValidationError", "maxRecords")
	})
}

func TestDeleteLaunchConfiguration(t *testing.T) {
	inWorld(t, func(w *world) {
		w.refused(w.unconfigure(old), "ValidationError", "Launch configuration name not found - Launch configuration shop-2019 not found")
		w.oldGroup(1)
		w.refused(w.unconfigure(old), "ResourceInUse", "Cannot delete launch configuration shop-2019 because it is attached to AutoScalingGroup shop")
		must(w.service.updateGroup(w.Context(), &autoscaling.UpdateAutoScalingGroupInput{AutoScalingGroupName: aws.String(shop), LaunchTemplate: version("1")}))
		if err := w.unconfigure(old); err != nil {
			t.Errorf("used by no group: %v", err)
		}
	})
}

func TestAGroupLaunchesFromOneSource(t *testing.T) {
	inWorld(t, func(w *world) {
		w.group(0)
		if err := w.configure(old); err != nil {
			t.Fatal(err)
		}
		policy := &types.MixedInstancesPolicy{LaunchTemplate: &types.LaunchTemplate{LaunchTemplateSpecification: version("1")}}
		for _, test := range []struct {
			from source
			text string
		}{
			{source{}, "either LaunchTemplate, LaunchConfigurationName"},
			{source{Template: version("1"), Configuration: old}, "either LaunchTemplate, LaunchConfigurationName"},
			{source{Policy: policy, Configuration: old}, "either LaunchTemplate, LaunchConfigurationName"},
			{source{Template: version("1"), Policy: policy}, "either LaunchTemplate, LaunchConfigurationName"},
			{source{Configuration: "none"}, "Launch configuration none not found"},
		} {
			_, err := w.service.createGroup(w.Context(), &autoscaling.CreateAutoScalingGroupInput{
				AutoScalingGroupName: aws.String("blog"), MinSize: aws.Int32(0), MaxSize: aws.Int32(0), AvailabilityZones: []string{"eu-central-1a"},
				LaunchTemplate: test.from.Template, MixedInstancesPolicy: test.from.Policy, LaunchConfigurationName: given(&test.from.Configuration),
			})
			w.refused(err, "ValidationError", test.text)
			if (test.from == source{}) {
				continue // an update may leave the source alone
			}
			_, err = w.service.updateGroup(w.Context(), &autoscaling.UpdateAutoScalingGroupInput{
				AutoScalingGroupName: aws.String(shop),
				LaunchTemplate:       test.from.Template, MixedInstancesPolicy: test.from.Policy, LaunchConfigurationName: given(&test.from.Configuration),
			})
			w.refused(err, "ValidationError", test.text)
		}
	})
}

func TestNodesFromALaunchConfiguration(t *testing.T) {
	inWorld(t, func(w *world) {
		w.oldGroup(2)
		if spec := w.launches()[0]; spec.TemplateID != "" || *spec.Data.ImageId != "ami-0123456789abcdef0" || spec.Data.InstanceType != "t3.small" || spec.Data.UserData != nil {
			t.Errorf("launched %+v", spec)
		}
		g := w.describe()
		if *g.LaunchConfigurationName != old || g.LaunchTemplate != nil {
			t.Errorf("group %+v", g)
		}
		if i := g.Instances[0]; *i.LaunchConfigurationName != old || i.LaunchTemplate != nil || *i.InstanceType != "t3.small" {
			t.Errorf("instance %+v", i)
		}
		details := must(w.service.describeInstances(w.Context(), &autoscaling.DescribeAutoScalingInstancesInput{})).AutoScalingInstances
		if d := details[0]; *d.LaunchConfigurationName != old || d.LaunchTemplate != nil {
			t.Errorf("details %+v", d)
		}

		// A new source is for new nodes; the old ones go first.
		must(w.service.updateGroup(w.Context(), &autoscaling.UpdateAutoScalingGroupInput{AutoScalingGroupName: aws.String(shop), LaunchTemplate: version("1")}))
		w.desire(4)
		w.until(10*time.Minute, "two of each", func() bool { v := w.versions(); return v[old] == 2 && v["1"] == 2 })
		w.desire(2)
		w.until(10*time.Minute, "two of the template", func() bool { v := w.versions(); return len(v) == 1 && v["1"] == 2 })
		must(w.service.updateGroup(w.Context(), &autoscaling.UpdateAutoScalingGroupInput{AutoScalingGroupName: aws.String(shop), LaunchConfigurationName: aws.String(old)}))
		if g := w.describe(); *g.LaunchConfigurationName != old || g.LaunchTemplate != nil {
			t.Errorf("back again: %+v", g)
		}
	})
}

func TestOlderConfigurationsGoFirst(t *testing.T) {
	inWorld(t, func(w *world) {
		w.oldGroup(1)
		if err := w.configure("a-newer-one"); err != nil {
			t.Fatal(err)
		}
		must(w.service.updateGroup(w.Context(), &autoscaling.UpdateAutoScalingGroupInput{
			AutoScalingGroupName: aws.String(shop), LaunchConfigurationName: aws.String("a-newer-one"), TerminationPolicies: []string{"OldestLaunchConfiguration"},
		}))
		w.desire(2)
		w.until(10*time.Minute, "both", func() bool { return len(w.versions()) == 2 })
		w.pass(5 * time.Minute)
		w.desire(1)
		w.until(10*time.Minute, "one left", func() bool { return len(w.inService()) == 1 })
		if got := w.versions(); got["a-newer-one"] != 1 {
			t.Errorf("left: %v", got)
		}
	})
}

func TestRefreshLeavesALaunchConfiguration(t *testing.T) {
	for _, skip := range []bool{false, true} {
		t.Run(fmt.Sprintf("skip matching %t", skip), func(t *testing.T) {
			inWorld(t, func(w *world) {
				w.oldGroup(4)
				p := healthyRange(100, 150)
				p.SkipMatching = aws.Bool(skip)
				w.start(p, to("2"))
				w.until(time.Hour, "half done", func() bool { return *w.refresh().PercentageComplete >= 50 })
				if g := w.describe(); g.LaunchTemplate != nil || *g.LaunchConfigurationName != old {
					t.Errorf("the group changed before success: %+v", g)
				}
				_, err := w.service.updateGroup(w.Context(), &autoscaling.UpdateAutoScalingGroupInput{AutoScalingGroupName: aws.String(shop), LaunchConfigurationName: aws.String(old)})
				w.refused(err, "ValidationError", "An active instance refresh with a desired configuration exists.")
				w.reaches(types.InstanceRefreshStatusSuccessful, time.Hour)
				g := w.describe()
				if got := w.versions(); got["2"] != 4 || len(got) != 1 || g.LaunchConfigurationName != nil || *g.LaunchTemplate.Version != "2" {
					t.Errorf("versions %v, group %+v", got, g)
				}
				if err := w.unconfigure(old); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

func TestCancelledRefreshKeepsTheLaunchConfiguration(t *testing.T) {
	inWorld(t, func(w *world) {
		w.oldGroup(2)
		w.start(healthyRange(50, 100), to("2"))
		w.until(time.Hour, "half done", func() bool { return *w.refresh().PercentageComplete >= 50 })
		w.cancel(true)
		w.reaches(types.InstanceRefreshStatusCancelled, time.Hour)
		w.desire(3)
		w.until(10*time.Minute, "three nodes", func() bool { return len(w.inService()) == 3 })
		launches := w.launches()
		if g := w.describe(); aws.ToString(g.LaunchConfigurationName) != old || launches[len(launches)-1].Data == nil || w.versions()["2"] == 0 {
			t.Errorf("versions %v, group %+v", w.versions(), g)
		}
	})
}

func TestRefreshOfALaunchConfiguration(t *testing.T) {
	inWorld(t, func(w *world) {
		w.oldGroup(2)
		start := func(p *types.RefreshPreferences, desired *types.DesiredConfiguration) error {
			_, err := w.service.startInstanceRefresh(w.Context(), &autoscaling.StartInstanceRefreshInput{AutoScalingGroupName: aws.String(shop), Preferences: p, DesiredConfiguration: desired})
			return err
		}
		auto := &types.RefreshPreferences{AutoRollback: aws.Bool(true)}
		w.refused(start(auto, nil), "ValidationError", "when the DesiredConfiguration parameter is empty")
		w.refused(start(auto, to("2")), "ValidationError", "AutoRollback cannot be set to true when the Auto Scaling group uses a launch configuration")
		w.refused(start(&types.RefreshPreferences{SkipMatching: aws.Bool(true)}, nil), "ValidationError", "skip matching")

		w.start(nil, to("2"))
		_, err := w.service.rollbackInstanceRefresh(w.Context(), &autoscaling.RollbackInstanceRefreshInput{AutoScalingGroupName: aws.String(shop)})
		w.refused(err, "IrreversibleInstanceRefresh", "launch configuration")
		w.cancel(false)
		w.reaches(types.InstanceRefreshStatusCancelled, time.Hour)

		w.start(nil, nil) // to what the group says anyway
		w.reaches(types.InstanceRefreshStatusSuccessful, time.Hour)
		if got := w.versions(); got[old] != 2 || len(w.launches()) < 4 {
			t.Errorf("versions %v after %d launches", got, len(w.launches()))
		}
	})
}

func TestSnapshotKeepsLaunchConfigurations(t *testing.T) {
	inWorld(t, func(w *world) {
		w.oldGroup(1)
		again := New(w.service.options)
		if err := again.Restore(must(w.service.Snapshot())); err != nil {
			t.Fatal(err)
		}
		w.service = again
		if g := w.describe(); *g.LaunchConfigurationName != old || *g.Instances[0].LaunchConfigurationName != old {
			t.Errorf("group %+v", g)
		}
		w.refused(w.configure(old), "AlreadyExists", old)
		w.refused(w.unconfigure(old), "ResourceInUse", shop)
	})
}

func TestLaunchData(t *testing.T) {
	c := &types.LaunchConfiguration{
		ImageId: aws.String("ami-1"), InstanceType: aws.String("t3.small"), KeyName: aws.String(""), UserData: aws.String("Zm9v"),
		IamInstanceProfile: aws.String("web"), InstanceMonitoring: &types.InstanceMonitoring{Enabled: aws.Bool(true)},
		SecurityGroups: []string{"sg-1", "default"}, SpotPrice: aws.String("0.5"), PlacementTenancy: aws.String("dedicated"),
		MetadataOptions: &types.InstanceMetadataOptions{HttpTokens: types.InstanceMetadataHttpTokensStateRequired},
		BlockDeviceMappings: []types.BlockDeviceMapping{
			{DeviceName: aws.String("/dev/xvda"), Ebs: &types.Ebs{VolumeSize: aws.Int32(9), VolumeType: aws.String("gp3")}},
			{DeviceName: aws.String("/dev/xvdb"), NoDevice: aws.Bool(true)},
		},
	}
	d := launchData(c)
	if d.KeyName != nil || *d.UserData != "Zm9v" || *d.IamInstanceProfile.Name != "web" || !*d.Monitoring.Enabled ||
		d.SecurityGroupIds[0] != "sg-1" || d.SecurityGroups[0] != "default" || *d.InstanceMarketOptions.SpotOptions.MaxPrice != "0.5" ||
		d.Placement.Tenancy != "dedicated" || d.MetadataOptions.HttpTokens != "required" ||
		*d.BlockDeviceMappings[0].Ebs.VolumeSize != 9 || d.BlockDeviceMappings[0].Ebs.VolumeType != "gp3" || d.BlockDeviceMappings[1].NoDevice == nil {
		t.Errorf("data %+v", d)
	}
	c.AssociatePublicIpAddress, c.IamInstanceProfile = aws.Bool(true), aws.String("arn:aws:iam::123456789012:instance-profile/web")
	d = launchData(c)
	if d.SecurityGroupIds != nil || d.NetworkInterfaces[0].Groups[0] != "sg-1" || *d.IamInstanceProfile.Arn != *c.IamInstanceProfile {
		t.Errorf("with a public address: %+v", d)
	}
}
