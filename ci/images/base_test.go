package images

import (
	"encoding/json"
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	astypes "github.com/aws/aws-sdk-go-v2/service/autoscaling/types"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/wpbake/wpbake/internal/tier"
)

// base runs Packer on the template of base images.
func (s *site) base(command string, more ...string) (string, error) {
	args := []string{
		"../../bin/tools/packer", command, "-var=source_image=" + baseImage, "-var=ssh_username=root", fmt.Sprintf("-var=ssh_port=%d", s.sshPort()),
		"-var=wpbake=" + s.wpbake, "-var=run=r1",
	}
	return s.run(append(append(args, more...), "../../packer/base.pkr.hcl")...)
}

// freePort is one of loopback that nobody has at the moment.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// A base image, a release image from it, and a node that boots from that with
// the user data of a release: it serves the release and downloads nothing.
func TestNodeOfAReleaseImageDownloadsNothing(t *testing.T) {
	tier.Soak(t)
	s := start(t)
	digest := s.publish()
	listen := freePort(t)
	variables := []string{"-var=listen=" + listen, "-var=gate_body=release", "-var=children=2", "-var=site_host=shop.example.com", "-var=parameters=/shop/"}
	if _, err := s.base("validate", variables...); err != nil {
		t.Fatal(err)
	}
	if out, err := s.base("validate", "-var=os=windows"); err == nil || !strings.Contains(err.Error(), "The os is one of") {
		t.Errorf("an os that there is none of: %v\n%s", err, out)
	}
	out, err := s.base("build", append(variables, "-color=false")...)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"syntax is ok", "configuration file /etc/php", "this node has served nothing yet", "multi-user.target.wants/wpbake-boot.service"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in:\n%s", want, out)
		}
	}
	images := s.ownImages("")
	if left := s.left(); len(left) > 0 || len(images) != 1 || !strings.HasPrefix(*images[0].Name, "wpbake-base-debian-12-amd64-") {
		t.Fatalf("left %v; there are %+v", left, images)
	}

	// The group's owner launches from the base image, and from then on wpbake does.
	s.must("aws", "--endpoint-url", s.variable("AWS_ENDPOINT_URL"), "ssm", "put-parameter", "--name", "/shop/DB_HOST", "--type", "String", "--value", "db.internal")
	s.group(*images[0].ImageId)
	config := []string{"--store", store, "--group", "shop"}
	s.must(append([]string{s.wpbake, "adopt", "--yes"}, config...)...)
	out = s.must(append([]string{s.wpbake, "release", "v1", "--tree=", "--bake", "ami", "--json", "--packer-program", "../../bin/tools/packer",
		"--packer-ssh-user", "root", "--packer-ssh-port", fmt.Sprint(s.sshPort())}, config...)...)
	if !strings.Contains(out, `"outcome":"released"`) {
		t.Errorf("the release said:\n%s", out)
	}
	for _, one := range s.ownImages("") {
		if strings.HasPrefix(*one.Name, "wpbake-v1-") {
			s.wantTags("the release image", tagsOf(one.Tags), digest)
		}
	}
	s.wantReport(digest)
}

// group makes a group of one node from an image.
func (s *site) group(image string) {
	s.t.Helper()
	ctx := s.t.Context()
	_, err := s.client.CreateLaunchTemplate(ctx, &ec2.CreateLaunchTemplateInput{
		LaunchTemplateName: aws.String("shop"),
		LaunchTemplateData: &types.RequestLaunchTemplateData{
			ImageId: &image, InstanceType: types.InstanceTypeT3Small, UserData: aws.String(base64Of("#!/bin/sh\nwpbake node ready --group shop\n")),
		},
	})
	if err != nil {
		s.t.Fatal(err)
	}
	groups := autoscaling.New(autoscaling.Options{Region: s.client.Options().Region, BaseEndpoint: s.client.Options().BaseEndpoint, Credentials: s.client.Options().Credentials})
	_, err = groups.CreateAutoScalingGroup(ctx, &autoscaling.CreateAutoScalingGroupInput{
		AutoScalingGroupName: aws.String("shop"), MinSize: aws.Int32(1), MaxSize: aws.Int32(2), DesiredCapacity: aws.Int32(1),
		AvailabilityZones: []string{"eu-central-1a"},
		LaunchTemplate:    &astypes.LaunchTemplateSpecification{LaunchTemplateName: aws.String("shop"), Version: aws.String("1")},
	})
	if err != nil {
		s.t.Fatal(err)
	}
	s.await("a node", func() bool {
		out, err := groups.DescribeAutoScalingGroups(ctx, &autoscaling.DescribeAutoScalingGroupsInput{})
		if err != nil {
			s.t.Fatal(err)
		}
		nodes := out.AutoScalingGroups[0].Instances
		return len(nodes) == 1 && nodes[0].LifecycleState == astypes.LifecycleStateInService
	}, func() string { return "none is in service" })
}

// wantReport wants the boot report of a node that downloaded nothing.
func (s *site) wantReport(digest string) {
	s.t.Helper()
	s3 := []string{"aws", "--endpoint-url", s.variable("AWS_ENDPOINT_URL"), "s3"}
	reports := 0
	for line := range strings.Lines(s.must(append(s3, "ls", "--recursive", store+"/rollouts/")...)) {
		fields := strings.Fields(line)
		if len(fields) != 4 || !strings.Contains(fields[3], "/nodes/i-") {
			continue
		}
		text := s.must(append(s3, "cp", "s3://releases/"+fields[3], "-")...)
		var report struct {
			Manifest, Verdict, As string
			Downloaded            *int64
		}
		if err := json.Unmarshal([]byte(text), &report); err != nil {
			s.t.Fatalf("%s: %v", text, err)
		}
		if reports++; report.Manifest != digest || report.Verdict != "good" || report.Downloaded == nil || *report.Downloaded != 0 {
			s.t.Errorf("the node reported %s", text)
		}
	}
	if reports != 1 {
		s.t.Errorf("%d nodes reported", reports)
	}
}
