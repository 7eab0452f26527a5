package ec2

import (
	"encoding/base64"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func templateData() *types.RequestLaunchTemplateData {
	return &types.RequestLaunchTemplateData{
		ImageId: aws.String(DefaultImage), InstanceType: types.InstanceTypeT3Small,
		UserData:         aws.String(base64.StdEncoding.EncodeToString([]byte("#!/bin/sh\n"))),
		SecurityGroupIds: []string{groupID},
		BlockDeviceMappings: []types.LaunchTemplateBlockDeviceMappingRequest{{
			DeviceName: aws.String("/dev/sdf"), Ebs: &types.LaunchTemplateEbsBlockDeviceRequest{SnapshotId: aws.String(seededSnapshot), VolumeSize: aws.Int32(8)},
		}},
		TagSpecifications: []types.LaunchTemplateTagSpecificationRequest{{
			ResourceType: types.ResourceTypeInstance, Tags: []types.Tag{{Key: aws.String("Role"), Value: aws.String("web")}},
		}},
	}
}

func shop(t *testing.T, client *ec2.Client) *types.LaunchTemplate {
	t.Helper()
	out, err := client.CreateLaunchTemplate(t.Context(), &ec2.CreateLaunchTemplateInput{
		LaunchTemplateName: aws.String("shop"), LaunchTemplateData: templateData(), VersionDescription: aws.String("first"),
		TagSpecifications: []types.TagSpecification{{
			ResourceType: types.ResourceTypeLaunchTemplate, Tags: []types.Tag{{Key: aws.String("Team"), Value: aws.String("")}},
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return out.LaunchTemplate
}

func addVersion(t *testing.T, client *ec2.Client, change func(*ec2.CreateLaunchTemplateVersionInput)) (*ec2.CreateLaunchTemplateVersionOutput, error) {
	t.Helper()
	in := &ec2.CreateLaunchTemplateVersionInput{LaunchTemplateName: aws.String("shop"), LaunchTemplateData: templateData()}
	if change != nil {
		change(in)
	}
	return client.CreateLaunchTemplateVersion(t.Context(), in)
}

func versionsOf(t *testing.T, client *ec2.Client, in *ec2.DescribeLaunchTemplateVersionsInput) []int64 {
	t.Helper()
	var numbers []int64
	pages := ec2.NewDescribeLaunchTemplateVersionsPaginator(client, in)
	for pages.HasMorePages() {
		out, err := pages.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range out.LaunchTemplateVersions {
			numbers = append(numbers, *v.VersionNumber)
		}
	}
	return numbers
}

// TestEveryMemberOfTemplateDataIsAnswered compares the SDK's two types: a
// member that only one of them has would get lost.
func TestEveryMemberOfTemplateDataIsAnswered(t *testing.T) {
	request, answer := reflect.TypeFor[types.RequestLaunchTemplateData](), reflect.TypeFor[types.ResponseLaunchTemplateData]()
	for i := range request.NumField() {
		if name := request.Field(i).Name; request.Field(i).IsExported() {
			if _, ok := answer.FieldByName(name); !ok {
				t.Errorf("%s has no counterpart", name)
			}
		}
	}
}

func TestTemplateDataIsReadAsItWasWritten(t *testing.T) {
	cloud(t, nil, func(t *testing.T, s *Service, f *fleet, client *ec2.Client) {
		made := shop(t, client)
		if *made.LatestVersionNumber != 1 || *made.DefaultVersionNumber != 1 || *made.Tags[0].Value != "" {
			t.Errorf("made %+v", made)
		}
		out, err := client.DescribeLaunchTemplateVersions(t.Context(), &ec2.DescribeLaunchTemplateVersionsInput{
			LaunchTemplateId: made.LaunchTemplateId, Versions: []string{"1"},
		})
		if err != nil {
			t.Fatal(err)
		}
		want := &types.ResponseLaunchTemplateData{
			ImageId: aws.String(DefaultImage), InstanceType: types.InstanceTypeT3Small, UserData: templateData().UserData,
			SecurityGroupIds: []string{groupID},
			BlockDeviceMappings: []types.LaunchTemplateBlockDeviceMapping{{
				DeviceName: aws.String("/dev/sdf"), Ebs: &types.LaunchTemplateEbsBlockDevice{SnapshotId: aws.String(seededSnapshot), VolumeSize: aws.Int32(8)},
			}},
			TagSpecifications: []types.LaunchTemplateTagSpecification{{
				ResourceType: types.ResourceTypeInstance, Tags: []types.Tag{{Key: aws.String("Role"), Value: aws.String("web")}},
			}},
		}
		got := out.LaunchTemplateVersions[0]
		if diff := cmp.Diff(want, got.LaunchTemplateData, cmpopts.IgnoreUnexported(types.ResponseLaunchTemplateData{},
			types.LaunchTemplateBlockDeviceMapping{}, types.LaunchTemplateEbsBlockDevice{}, types.LaunchTemplateTagSpecification{}, types.Tag{})); diff != "" {
			t.Error(diff)
		}
		if *got.VersionDescription != "first" || !*got.DefaultVersion {
			t.Errorf("got %+v", got)
		}
	})
}

func TestSourceVersion(t *testing.T) {
	cloud(t, nil, func(t *testing.T, s *Service, f *fleet, client *ec2.Client) {
		shop(t, client)
		out, err := addVersion(t, client, func(in *ec2.CreateLaunchTemplateVersionInput) {
			in.SourceVersion = aws.String("1")
			in.LaunchTemplateData = &types.RequestLaunchTemplateData{InstanceType: types.InstanceTypeT3Large}
		})
		if err != nil {
			t.Fatal(err)
		}
		got := out.LaunchTemplateVersion.LaunchTemplateData
		if got.InstanceType != types.InstanceTypeT3Large || *got.UserData != *templateData().UserData {
			t.Errorf("not inherited: %+v", got)
		}
		device := got.BlockDeviceMappings[0].Ebs
		if device.SnapshotId != nil || *device.VolumeSize != 8 {
			t.Errorf("an inherited snapshot must be dropped, the rest kept: %+v", device)
		}
		out, err = addVersion(t, client, func(in *ec2.CreateLaunchTemplateVersionInput) {
			in.SourceVersion = aws.String("1")
			in.LaunchTemplateData = &types.RequestLaunchTemplateData{BlockDeviceMappings: templateData().BlockDeviceMappings}
		})
		if err != nil || *out.LaunchTemplateVersion.LaunchTemplateData.BlockDeviceMappings[0].Ebs.SnapshotId != seededSnapshot {
			t.Errorf("a repeated snapshot must stay: %v", err)
		}
		out, err = addVersion(t, client, func(in *ec2.CreateLaunchTemplateVersionInput) {
			in.LaunchTemplateData = &types.RequestLaunchTemplateData{InstanceType: types.InstanceTypeT3Large}
		})
		if err != nil || out.LaunchTemplateVersion.LaunchTemplateData.UserData != nil {
			t.Errorf("without a source nothing is inherited: %v", err)
		}
	})
}

func TestVersionsAndDefault(t *testing.T) {
	cloud(t, nil, func(t *testing.T, s *Service, f *fleet, client *ec2.Client) {
		made := shop(t, client)
		for range 6 {
			if _, err := addVersion(t, client, nil); err != nil {
				t.Fatal(err)
			}
		}
		named := func(change func(*ec2.DescribeLaunchTemplateVersionsInput)) *ec2.DescribeLaunchTemplateVersionsInput {
			in := &ec2.DescribeLaunchTemplateVersionsInput{LaunchTemplateId: made.LaunchTemplateId, MaxResults: aws.Int32(2)}
			change(in)
			return in
		}
		for _, test := range []struct {
			name string
			in   *ec2.DescribeLaunchTemplateVersionsInput
			want []int64
		}{
			{"all, newest first", named(func(*ec2.DescribeLaunchTemplateVersionsInput) {}), []int64{7, 6, 5, 4, 3, 2, 1}},
			{"some", named(func(in *ec2.DescribeLaunchTemplateVersionsInput) {
				in.Versions = []string{"2", "$Latest", "$Default", "1"}
			}), []int64{7, 2, 1}},
			{"between", named(func(in *ec2.DescribeLaunchTemplateVersionsInput) {
				in.MinVersion, in.MaxVersion = aws.String("3"), aws.String("5")
			}), []int64{5, 4, 3}},
			{"filtered", named(func(in *ec2.DescribeLaunchTemplateVersionsInput) {
				in.Filters = []types.Filter{{Name: aws.String("is-default-version"), Values: []string{"true"}}}
			}), []int64{1}},
			{"latest of all", &ec2.DescribeLaunchTemplateVersionsInput{Versions: []string{"$Latest"}}, []int64{7}},
		} {
			if diff := cmp.Diff(test.want, versionsOf(t, client, test.in)); diff != "" {
				t.Errorf("%s:\n%s", test.name, diff)
			}
		}
		if _, err := client.ModifyLaunchTemplate(t.Context(), &ec2.ModifyLaunchTemplateInput{LaunchTemplateName: aws.String("shop"), DefaultVersion: aws.String("3")}); err != nil {
			t.Fatal(err)
		}
		out, err := client.DescribeLaunchTemplates(t.Context(), &ec2.DescribeLaunchTemplatesInput{LaunchTemplateNames: []string{"shop"}})
		if err != nil || *out.LaunchTemplates[0].DefaultVersionNumber != 3 || *out.LaunchTemplates[0].LatestVersionNumber != 7 {
			t.Errorf("templates %+v, %v", out, err)
		}
		for name, want := range map[string]int64{"": 3, "$Default": 3, "$Latest": 7, "5": 5} {
			_, _, number, _, err := s.TemplateVersion("", "shop", name)
			if err != nil || number != want {
				t.Errorf("version %q is %d, want %d (%v)", name, number, want, err)
			}
		}
	})
}

func TestDeletedVersionsDoNotComeBack(t *testing.T) {
	cloud(t, nil, func(t *testing.T, s *Service, f *fleet, client *ec2.Client) {
		shop(t, client)
		for range 2 {
			if _, err := addVersion(t, client, nil); err != nil {
				t.Fatal(err)
			}
		}
		out, err := client.DeleteLaunchTemplateVersions(t.Context(), &ec2.DeleteLaunchTemplateVersionsInput{
			LaunchTemplateName: aws.String("shop"), Versions: []string{"3", "1", "9"},
		})
		if err != nil {
			t.Fatal(err)
		}
		if got := out.SuccessfullyDeletedLaunchTemplateVersions; len(got) != 1 || *got[0].VersionNumber != 3 {
			t.Errorf("deleted %+v", got)
		}
		var codes []string
		for _, refused := range out.UnsuccessfullyDeletedLaunchTemplateVersions {
			codes = append(codes, strconv.FormatInt(*refused.VersionNumber, 10)+" "+string(refused.ResponseError.Code))
		}
		if diff := cmp.Diff([]string{"1 unexpectedError", "9 launchTemplateVersionDoesNotExist"}, codes); diff != "" {
			t.Error(diff)
		}
		next, err := addVersion(t, client, nil)
		if err != nil || *next.LaunchTemplateVersion.VersionNumber != 4 {
			t.Errorf("next %+v, %v", next, err)
		}
		if _, err := client.DeleteLaunchTemplate(t.Context(), &ec2.DeleteLaunchTemplateInput{LaunchTemplateName: aws.String("shop")}); err != nil {
			t.Fatal(err)
		}
		out, err = client.DeleteLaunchTemplateVersions(t.Context(), &ec2.DeleteLaunchTemplateVersionsInput{
			LaunchTemplateName: aws.String("shop"), Versions: []string{"2"},
		})
		if err != nil || out.UnsuccessfullyDeletedLaunchTemplateVersions[0].ResponseError.Code != types.LaunchTemplateErrorCodeLaunchTemplateNameDoesNotExist {
			t.Errorf("of a template that is gone: %+v, %v", out, err)
		}
	})
}

func TestTemplateErrors(t *testing.T) {
	type input = ec2.CreateLaunchTemplateVersionInput
	long := base64.StdEncoding.EncodeToString(make([]byte, maxUserData+1))
	for _, test := range []struct {
		name   string
		change func(*input)
		want   string
	}{
		{"nothing wrong", func(in *input) {}, ""},
		{"no template", func(in *input) { in.LaunchTemplateName = nil }, "MissingParameter"},
		{"two templates", func(in *input) { in.LaunchTemplateId = aws.String("lt-00000000000000000") }, "InvalidParameterCombination"},
		{"malformed id", func(in *input) { in.LaunchTemplateName, in.LaunchTemplateId = nil, aws.String("lt-x") }, "InvalidLaunchTemplateId.Malformed"},
		{"unknown id", func(in *input) { in.LaunchTemplateName, in.LaunchTemplateId = nil, aws.String("lt-00000000000000000") }, "InvalidLaunchTemplateId.NotFound"},
		{"unknown name", func(in *input) { in.LaunchTemplateName = aws.String("other") }, "InvalidLaunchTemplateName.NotFoundException"},
		{"unknown source", func(in *input) { in.SourceVersion = aws.String("7") }, "InvalidLaunchTemplateId.VersionNotFound"},
		{"source of words", func(in *input) { in.SourceVersion = aws.String("latest") }, "InvalidParameterValue"},
		{"long description", func(in *input) { in.VersionDescription = aws.String(strings.Repeat("x", 256)) }, "InvalidParameterValue"},
		{"user data not encoded", func(in *input) { in.LaunchTemplateData.UserData = aws.String("#!/bin/sh") }, "InvalidUserData.Malformed"},
		{"user data too long", func(in *input) { in.LaunchTemplateData.UserData = &long }, "InvalidParameterValue"},
		{"dry run", func(in *input) { in.DryRun = aws.Bool(true) }, "DryRunOperation"},
	} {
		t.Run(test.name, func(t *testing.T) {
			cloud(t, nil, func(t *testing.T, s *Service, f *fleet, client *ec2.Client) {
				shop(t, client)
				_, err := addVersion(t, client, test.change)
				wantCode(t, err, test.want)
				if versions := versionsOf(t, client, &ec2.DescribeLaunchTemplateVersionsInput{LaunchTemplateName: aws.String("shop")}); test.want != "" && len(versions) != 1 {
					t.Errorf("left versions %v", versions)
				}
			})
		})
	}
	cloud(t, nil, func(t *testing.T, s *Service, f *fleet, client *ec2.Client) {
		shop(t, client)
		_, err := client.CreateLaunchTemplate(t.Context(), &ec2.CreateLaunchTemplateInput{LaunchTemplateName: aws.String("shop"), LaunchTemplateData: templateData()})
		wantCode(t, err, "InvalidLaunchTemplateName.AlreadyExistsException")
		_, err = client.CreateLaunchTemplate(t.Context(), &ec2.CreateLaunchTemplateInput{LaunchTemplateName: aws.String("a b"), LaunchTemplateData: templateData()})
		wantCode(t, err, "InvalidLaunchTemplateName.MalformedException")
		_, err = client.DescribeLaunchTemplateVersions(t.Context(), &ec2.DescribeLaunchTemplateVersionsInput{Versions: []string{"1"}})
		wantCode(t, err, "InvalidParameterValue")
		_, err = client.DescribeLaunchTemplates(t.Context(), &ec2.DescribeLaunchTemplatesInput{MaxResults: aws.Int32(201)})
		wantCode(t, err, "InvalidParameterValue")
	})
}

func TestVersionTokens(t *testing.T) {
	cloud(t, nil, func(t *testing.T, s *Service, f *fleet, client *ec2.Client) {
		shop(t, client)
		with := func(in *ec2.CreateLaunchTemplateVersionInput) { in.ClientToken = aws.String("run-1") }
		for range 2 {
			out, err := addVersion(t, client, with)
			if err != nil || *out.LaunchTemplateVersion.VersionNumber != 2 {
				t.Fatalf("got %+v, %v", out, err)
			}
		}
		_, err := addVersion(t, client, func(in *ec2.CreateLaunchTemplateVersionInput) { with(in); in.VersionDescription = aws.String("x") })
		wantCode(t, err, "IdempotentParameterMismatch")
	})
}

func TestWarnings(t *testing.T) {
	cloud(t, nil, func(t *testing.T, s *Service, f *fleet, client *ec2.Client) {
		shop(t, client)
		out, err := addVersion(t, client, func(in *ec2.CreateLaunchTemplateVersionInput) {
			in.LaunchTemplateData.NetworkInterfaces = []types.LaunchTemplateInstanceNetworkInterfaceSpecificationRequest{{DeviceIndex: aws.Int32(0)}}
		})
		if err != nil || out.Warning == nil || *out.Warning.Errors[0].Code != "InvalidParameterCombination" || *out.LaunchTemplateVersion.VersionNumber != 2 {
			t.Errorf("got %+v, %v", out, err)
		}
	})
}

func TestLagHidesNewVersions(t *testing.T) {
	cloud(t, func(o *Options) { o.Lag = time.Minute }, func(t *testing.T, s *Service, f *fleet, client *ec2.Client) {
		shop(t, client)
		_, err := addVersion(t, client, nil)
		wantCode(t, err, "InvalidLaunchTemplateName.NotFoundException")
		time.Sleep(time.Minute)
		if _, err := addVersion(t, client, nil); err != nil {
			t.Fatal(err)
		}
		all := &ec2.DescribeLaunchTemplateVersionsInput{LaunchTemplateName: aws.String("shop")}
		if got := versionsOf(t, client, all); len(got) != 1 {
			t.Errorf("at once: %v", got)
		}
		_, _, _, _, err = s.TemplateVersion("", "shop", "2")
		wantCode(t, err, "InvalidLaunchTemplateId.VersionNotFound: Could not find the specified version 2 for the launch template with ID "+s.state.Templates[0].ID+".")
		time.Sleep(time.Minute)
		if got := versionsOf(t, client, all); len(got) != 2 {
			t.Errorf("later: %v", got)
		}
	})
}

func TestLaunchForAutoScaling(t *testing.T) {
	cloud(t, nil, func(t *testing.T, s *Service, f *fleet, client *ec2.Client) {
		made := shop(t, client)
		id, err := s.Launch(t.Context(), LaunchSpec{
			TemplateID: *made.LaunchTemplateId, Version: 1, InstanceType: "t3.large", Zone: "eu-central-1b",
			Tags: map[string]string{"aws:autoscaling:groupName": "shop", "Role": "shop"},
		})
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		out, err := client.DescribeInstances(t.Context(), &ec2.DescribeInstancesInput{InstanceIds: []string{id}})
		if err != nil {
			t.Fatal(err)
		}
		i := out.Reservations[0].Instances[0]
		tags := map[string]string{}
		for _, tag := range i.Tags {
			tags[*tag.Key] = *tag.Value
		}
		want := map[string]string{
			"aws:autoscaling:groupName": "shop", "Role": "shop",
			"aws:ec2launchtemplate:id": *made.LaunchTemplateId, "aws:ec2launchtemplate:version": "1",
		}
		if diff := cmp.Diff(want, tags); diff != "" {
			t.Error(diff)
		}
		if i.InstanceType != types.InstanceTypeT3Large || *i.Placement.AvailabilityZone != "eu-central-1b" || *i.SubnetId != "subnet-0000000000000000b" {
			t.Errorf("instance %+v", i)
		}
		_, err = s.Launch(t.Context(), LaunchSpec{TemplateID: *made.LaunchTemplateId, Version: 9})
		if err == nil {
			t.Error("launched from no version")
		}
	})
}
