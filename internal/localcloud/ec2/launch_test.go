package ec2

import (
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
)

func TestLaunchesThatEC2Refuses(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(*ec2.RunInstancesInput)
		want   string
	}{
		{"no image", func(in *ec2.RunInstancesInput) { in.ImageId = nil }, "MissingParameter"},
		{"bad image", func(in *ec2.RunInstancesInput) { in.ImageId = aws.String("debian") }, "InvalidAMIID.Malformed"},
		{"unknown image", func(in *ec2.RunInstancesInput) { in.ImageId = aws.String("ami-00000000") }, "InvalidAMIID.NotFound"},
		{"bad type", func(in *ec2.RunInstancesInput) { in.InstanceType = "huge" }, "InvalidParameterValue"},
		{"unknown subnet", func(in *ec2.RunInstancesInput) { in.SubnetId = aws.String("subnet-1") }, "InvalidSubnetID.NotFound"},
		{"other zone", func(in *ec2.RunInstancesInput) {
			in.Placement = &types.Placement{AvailabilityZone: aws.String("us-east-1a")}
		}, "InvalidParameterValue"},
		{"user data not encoded", func(in *ec2.RunInstancesInput) { in.UserData = aws.String("#!/bin/sh") }, "InvalidUserData.Malformed"},
		{"reserved tag", func(in *ec2.RunInstancesInput) { in.TagSpecifications[0].Tags[0].Key = aws.String("aws:x") }, "InvalidParameterValue"},
		{"no such template", func(in *ec2.RunInstancesInput) {
			in.LaunchTemplate = &types.LaunchTemplateSpecification{LaunchTemplateName: aws.String("nope")}
		}, "InvalidLaunchTemplateName.NotFoundException"},
		{"tag that metadata can not show", func(in *ec2.RunInstancesInput) {
			in.MetadataOptions = &types.InstanceMetadataOptionsRequest{InstanceMetadataTags: types.InstanceMetadataTagsStateEnabled}
			in.TagSpecifications[0].Tags[0].Key = aws.String("a b")
		}, "InvalidParameterValue"},
		{"dry run", func(in *ec2.RunInstancesInput) { in.DryRun = aws.Bool(true) }, "DryRunOperation"},
		{"nothing wrong", nil, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			cloud(t, nil, func(t *testing.T, s *Service, f *fleet, client *ec2.Client) {
				_, err := launch(t, client, test.change)
				wantCode(t, err, test.want)
			})
		})
	}
	cloud(t, func(o *Options) { o.Runner = nil }, func(t *testing.T, s *Service, f *fleet, client *ec2.Client) {
		_, err := launch(t, client, nil)
		wantCode(t, err, "UnsupportedOperation")
	})
}

func TestShortage(t *testing.T) {
	cloud(t, nil, func(t *testing.T, s *Service, f *fleet, client *ec2.Client) {
		s.SetShortage("t3.small", 2)
		for n, want := range []string{"InsufficientInstanceCapacity", "InsufficientInstanceCapacity", ""} {
			_, err := launch(t, client, nil)
			if got := codeOf(err); got != want {
				t.Errorf("launch %d: %q, want %q", n, got, want)
			}
		}
		s.SetShortage("eu-central-1b", 0)
		_, err := launch(t, client, nil)
		wantCode(t, err, "")
		_, err = launch(t, client, func(in *ec2.RunInstancesInput) { in.SubnetId = aws.String("subnet-0000000000000000b") })
		wantCode(t, err, "InsufficientInstanceCapacity")
		s.ClearShortage()
		_, err = launch(t, client, func(in *ec2.RunInstancesInput) { in.SubnetId = aws.String("subnet-0000000000000000b") })
		wantCode(t, err, "")
	})
}

func TestClientTokensLaunchOnce(t *testing.T) {
	cloud(t, nil, func(t *testing.T, s *Service, f *fleet, client *ec2.Client) {
		once := func(in *ec2.RunInstancesInput) { in.ClientToken = aws.String("token") }
		first, err := launch(t, client, once)
		if err != nil {
			t.Fatal(err)
		}
		again, err := launch(t, client, once)
		if err != nil || *again.InstanceId != *first.InstanceId {
			t.Errorf("again %v, %v", aws.ToString(again.InstanceId), err)
		}
		_, err = launch(t, client, func(in *ec2.RunInstancesInput) { once(in); in.InstanceType = types.InstanceTypeT3Large })
		wantCode(t, err, "IdempotentParameterMismatch")
		time.Sleep(25 * time.Hour)
		later, err := launch(t, client, once)
		if err != nil || *later.InstanceId == *first.InstanceId {
			t.Errorf("a day later %v, %v", aws.ToString(later.InstanceId), err)
		}
	})
}
