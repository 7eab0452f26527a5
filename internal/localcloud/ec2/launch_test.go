package ec2

import (
	"testing"
	"testing/synctest"
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

func TestLaunchWithoutATemplate(t *testing.T) {
	cloud(t, nil, func(t *testing.T, s *Service, f *fleet, client *ec2.Client) {
		spec := LaunchSpec{Data: &types.ResponseLaunchTemplateData{
			ImageId: aws.String("ami-0123456789abcdef0"), InstanceType: types.InstanceTypeT3Small, UserData: aws.String("IyEvYmluL3NoCg=="),
		}, SubnetID: "subnet-0000000000000000c", Tags: map[string]string{"Role": "shop"}}
		id, err := s.Launch(t.Context(), spec)
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		out, err := client.DescribeInstances(t.Context(), &ec2.DescribeInstancesInput{InstanceIds: []string{id}})
		if err != nil {
			t.Fatal(err)
		}
		i := out.Reservations[0].Instances[0]
		if i.InstanceType != types.InstanceTypeT3Small || *i.ImageId != *spec.Data.ImageId || *i.Placement.AvailabilityZone != s.SubnetZone(spec.SubnetID) {
			t.Errorf("instance %+v", i)
		}
		if len(i.Tags) != 1 || *i.Tags[0].Value != "shop" {
			t.Errorf("tags %+v", i.Tags)
		}
		if got := string(f.of(id).machine.UserData); got != "#!/bin/sh\n" {
			t.Errorf("user data %q", got)
		}
		spec.Data.ImageId = aws.String("ami-00000000")
		_, err = s.Launch(t.Context(), spec)
		wantCode(t, err, "InvalidAMIID.NotFound: The image id '[ami-00000000]' does not exist")
	})
}

func TestSubnetZone(t *testing.T) {
	s := New(Options{Region: "eu-central-1", Account: "123456789012"})
	for subnet, want := range map[string]string{"subnet-0000000000000000b": "eu-central-1b", "subnet-1": "", "": ""} {
		if got := s.SubnetZone(subnet); got != want {
			t.Errorf("%q lies in %q, want %q", subnet, got, want)
		}
	}
}
