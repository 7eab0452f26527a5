package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"time"

	sdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/wpbake/wpbake/internal/aws"
	"github.com/wpbake/wpbake/internal/owner"
)

// packerMain is a packer that makes an image of an empty volume, or fails as its
// template's variable "fake" says. ci/images runs the real one.
func packerMain() {
	say := func(rest string) { fmt.Println("1795667144," + rest) }
	fake := os.Getenv("PKR_VAR_fake")
	switch {
	case slices.Contains(os.Args, "version") && fake == "old":
		say(",version,1.9.4")
	case slices.Contains(os.Args, "version"):
		say(",version,1.15.0")
	case slices.Contains(os.Args, "plugins"):
		say(",ui,message,/p/github.com/hashicorp/amazon/packer-plugin-amazon_v1.8.0_x5.0_linux_amd64")
		if fake != "bare" {
			say(",ui,message,/p/github.com/wpbake/wpbake/packer-plugin-wpbake_v0.1.0-dev_x5.0_linux_amd64")
		}
	case fake == "fails":
		say(",ui,say,==> amazon-ebs.release: Waiting for SSH to become available...")
		say("amazon-ebs.release,error,Timeout waiting for SSH.")
		os.Exit(1)
	case fake == "nothing":
	default:
		id, err := fakeImage(context.Background())
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		say("amazon-ebs.release,artifact,0,id," + os.Getenv("PKR_VAR_region") + ":" + id)
	}
}

// fakeImage registers an image as the template names and tags it.
func fakeImage(ctx context.Context) (string, error) {
	clients, err := aws.Load(ctx, aws.Options{})
	if err != nil {
		return "", err
	}
	cloud := clients.EC2()
	v, err := cloud.CreateVolume(ctx, &ec2.CreateVolumeInput{AvailabilityZone: sdk.String(clients.Region() + "a"), Size: sdk.Int32(1)})
	if err != nil {
		return "", err
	}
	s, err := cloud.CreateSnapshot(ctx, &ec2.CreateSnapshotInput{VolumeId: v.VolumeId})
	if err != nil {
		return "", err
	}
	waiter := ec2.NewSnapshotCompletedWaiter(cloud, func(o *ec2.SnapshotCompletedWaiterOptions) {
		o.MinDelay, o.MaxDelay = 50*time.Millisecond, 50*time.Millisecond
	})
	if err := waiter.Wait(ctx, &ec2.DescribeSnapshotsInput{SnapshotIds: []string{*s.SnapshotId}}, time.Minute); err != nil {
		return "", err
	}
	digest, err := fakeDigest(ctx)
	if err != nil {
		return "", err
	}
	var tags []types.Tag
	for key, value := range map[string]string{
		owner.TagManifest: digest, owner.TagStore: os.Getenv("PKR_VAR_store"), owner.TagVersion: os.Getenv("PKR_VAR_version"),
		owner.TagRun: os.Getenv("PKR_VAR_run"), owner.TagHolder: os.Getenv("PKR_VAR_holder"), owner.TagExpires: os.Getenv("PKR_VAR_expires"),
	} {
		tags = append(tags, types.Tag{Key: &key, Value: &value})
	}
	image, err := cloud.RegisterImage(ctx, &ec2.RegisterImageInput{
		Name: sdk.String("wpbake-" + os.Getenv("PKR_VAR_version") + "-" + os.Getenv("PKR_VAR_run")), RootDeviceName: sdk.String("/dev/xvda"),
		BlockDeviceMappings: []types.BlockDeviceMapping{{DeviceName: sdk.String("/dev/xvda"), Ebs: &types.EbsBlockDevice{SnapshotId: s.SnapshotId}}},
		TagSpecifications:   []types.TagSpecification{{ResourceType: types.ResourceTypeImage, Tags: tags}},
	})
	if err != nil {
		return "", err
	}
	return *image.ImageId, nil
}

// fakeDigest finds the release as the template's data source does.
func fakeDigest(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, os.Getenv("PKR_VAR_local_wpbake"), "show", os.Getenv("PKR_VAR_version"), "--json", "--store", os.Getenv("PKR_VAR_store")).Output()
	if err != nil {
		return "", err
	}
	var found struct{ Manifest string }
	err = json.Unmarshal(out, &found)
	return found.Manifest, err
}
