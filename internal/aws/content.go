package aws

import (
	"fmt"
	"slices"
	"strings"

	sdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/wpbake/wpbake/rollout"
)

// volumeDevices are the names that EC2 recommends for data volumes. Release
// volumes take the last free one: people count from the first.
const volumeDevices = "fghijklmnop"

// putContent changes what a release changes besides user data: the image, and
// the release volume among the block devices.
func putContent(data *types.RequestLaunchTemplateData, n rollout.NewTemplateVersion) error {
	if n.Image != "" {
		data.ImageId = &n.Image
	}
	mappings := slices.Clone(data.BlockDeviceMappings)
	if n.Drop != "" {
		mappings = slices.DeleteFunc(mappings, func(m types.LaunchTemplateBlockDeviceMappingRequest) bool {
			return m.Ebs != nil && sdk.ToString(m.Ebs.SnapshotId) == n.Drop
		})
	}
	if n.Volume != nil {
		device, err := freeDevice(mappings)
		if err != nil {
			return err
		}
		mappings = append(mappings, mappingOf(device, *n.Volume))
	}
	data.BlockDeviceMappings = mappings
	return nil
}

func freeDevice(mappings []types.LaunchTemplateBlockDeviceMappingRequest) (string, error) {
	for i := len(volumeDevices) - 1; i >= 0; i-- {
		letter := volumeDevices[i : i+1]
		taken := slices.ContainsFunc(mappings, func(m types.LaunchTemplateBlockDeviceMappingRequest) bool {
			name := sdk.ToString(m.DeviceName)
			return name == "/dev/sd"+letter || name == "/dev/xvd"+letter
		})
		if !taken {
			return "/dev/sd" + letter, nil
		}
	}
	return "", fmt.Errorf("attaching release volume: no device name from /dev/sdf to /dev/sdp is free")
}

// mappingOf attaches a release volume. Its encryption is its snapshot's: EC2
// takes no other word on it.
func mappingOf(device string, v rollout.Volume) types.LaunchTemplateBlockDeviceMappingRequest {
	ebs := &types.LaunchTemplateEbsBlockDeviceRequest{
		SnapshotId: &v.Snapshot, DeleteOnTermination: sdk.Bool(true), VolumeType: types.VolumeTypeGp3,
	}
	if v.Rate > 0 {
		ebs.VolumeInitializationRate = sdk.Int32(int32(v.Rate))
	}
	return types.LaunchTemplateBlockDeviceMappingRequest{DeviceName: &device, Ebs: ebs}
}

// attaches tells whether a described template attaches the volume as asked,
// once.
func attaches(data *types.ResponseLaunchTemplateData, v rollout.Volume) bool {
	if data == nil {
		return false
	}
	found := 0
	for _, m := range data.BlockDeviceMappings {
		if m.Ebs == nil || sdk.ToString(m.Ebs.SnapshotId) != v.Snapshot {
			continue
		}
		if int(sdk.ToInt32(m.Ebs.VolumeInitializationRate)) != v.Rate || !sdk.ToBool(m.Ebs.DeleteOnTermination) {
			return false
		}
		found++
	}
	return found == 1
}

func volumeOf(n rollout.NewTemplateVersion) string {
	if n.Volume == nil {
		return ""
	}
	return n.Volume.Snapshot
}

// withoutContent is launch template data without what putContent changes, for
// a comparison of all else.
func withoutContent(data *element, n rollout.NewTemplateVersion, snapshot string) *element {
	if data == nil {
		return nil
	}
	rest := &element{name: data.name, text: data.text}
	for _, field := range data.children {
		switch {
		case field.name == "imageId" && n.Image != "":
			continue
		case field.name == "blockDeviceMappingSet" && snapshot != "":
			field = &element{name: field.name, children: slices.DeleteFunc(slices.Clone(field.children), func(item *element) bool {
				id := item.find("snapshotId")
				return id != nil && strings.TrimSpace(id.text) == snapshot
			})}
		}
		rest.children = append(rest.children, field)
	}
	return rest
}
