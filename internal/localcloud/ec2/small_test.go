package ec2

import (
	"slices"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
)

func TestTags(t *testing.T) {
	cloud(t, nil, func(t *testing.T, s *Service, f *fleet, client *ec2.Client) {
		i, err := launch(t, client, nil)
		if err != nil {
			t.Fatal(err)
		}
		id := *i.InstanceId
		if _, err := client.CreateTags(t.Context(), &ec2.CreateTagsInput{
			Resources: []string{id, vpcID}, Tags: []types.Tag{{Key: aws.String("Colour"), Value: aws.String("red")}},
		}); err != nil {
			t.Fatal(err)
		}
		out, err := client.DescribeTags(t.Context(), &ec2.DescribeTagsInput{
			Filters: []types.Filter{{Name: aws.String("resource-id"), Values: []string{id}}},
		})
		if err != nil || len(out.Tags) != 2 || out.Tags[0].ResourceType != types.ResourceTypeInstance {
			t.Errorf("tags %+v, %v", out, err)
		}
		if _, err := client.DeleteTags(t.Context(), &ec2.DeleteTagsInput{
			Resources: []string{id}, Tags: []types.Tag{{Key: aws.String("Colour"), Value: aws.String("blue")}, {Key: aws.String("Name")}},
		}); err != nil {
			t.Fatal(err)
		}
		out, err = client.DescribeTags(t.Context(), &ec2.DescribeTagsInput{
			Filters: []types.Filter{{Name: aws.String("resource-type"), Values: []string{"instance"}}},
		})
		if err != nil || len(out.Tags) != 1 || *out.Tags[0].Key != "Colour" {
			t.Errorf("a tag with another value stays: %+v, %v", out, err)
		}
		_, err = client.CreateTags(t.Context(), &ec2.CreateTagsInput{
			Resources: []string{id, "i-00000000000000000"}, Tags: []types.Tag{{Key: aws.String("X"), Value: aws.String("y")}},
		})
		wantCode(t, err, "InvalidInstanceID.NotFound")
		if out, err := client.DescribeTags(t.Context(), &ec2.DescribeTagsInput{Filters: []types.Filter{{Name: aws.String("key"), Values: []string{"X"}}}}); err != nil || len(out.Tags) != 0 {
			t.Errorf("tagged half: %+v, %v", out, err)
		}
	})
}

func TestImages(t *testing.T) {
	cloud(t, nil, func(t *testing.T, s *Service, f *fleet, client *ec2.Client) {
		made, err := client.RegisterImage(t.Context(), &ec2.RegisterImageInput{
			Name: aws.String("shop-v42"), Architecture: types.ArchitectureValuesX8664, RootDeviceName: aws.String("/dev/xvda"),
			TagSpecifications: []types.TagSpecification{{ResourceType: types.ResourceTypeImage, Tags: []types.Tag{{Key: aws.String("v"), Value: aws.String("42")}}}},
		})
		if err != nil {
			t.Fatal(err)
		}
		_, err = client.RegisterImage(t.Context(), &ec2.RegisterImageInput{Name: aws.String("shop-v42")})
		wantCode(t, err, "InvalidAMIName.Duplicate")
		ids := func(in *ec2.DescribeImagesInput) []string {
			out, err := client.DescribeImages(t.Context(), in)
			if err != nil {
				t.Fatal(err)
			}
			var found []string
			for _, one := range out.Images {
				found = append(found, *one.ImageId)
			}
			return found
		}
		if got := ids(&ec2.DescribeImagesInput{}); !slices.Equal(got, []string{DefaultImage, *made.ImageId}) {
			t.Errorf("all: %v", got)
		}
		if got := ids(&ec2.DescribeImagesInput{Owners: []string{"self"}}); !slices.Equal(got, []string{*made.ImageId}) {
			t.Errorf("own: %v", got)
		}
		if got := ids(&ec2.DescribeImagesInput{Filters: []types.Filter{{Name: aws.String("tag:v"), Values: []string{"42"}}}}); !slices.Equal(got, []string{*made.ImageId}) {
			t.Errorf("tagged: %v", got)
		}
		launched, err := launch(t, client, func(in *ec2.RunInstancesInput) { in.ImageId = made.ImageId })
		if err != nil || *launched.ImageId != *made.ImageId {
			t.Errorf("launched %+v, %v", launched, err)
		}
		_, err = client.DeregisterImage(t.Context(), &ec2.DeregisterImageInput{ImageId: aws.String(DefaultImage)})
		wantCode(t, err, "AuthFailure")
		if _, err = client.DeregisterImage(t.Context(), &ec2.DeregisterImageInput{ImageId: made.ImageId}); err != nil {
			t.Fatal(err)
		}
		_, err = launch(t, client, func(in *ec2.RunInstancesInput) { in.ImageId = made.ImageId })
		wantCode(t, err, "InvalidAMIID.Unavailable")
	})
}

type parameters map[string]string

func (p parameters) Value(name string) (string, error) {
	if value, ok := p[name]; ok {
		return value, nil
	}
	return "", errMissing{}
}

type errMissing struct{}

func (errMissing) Error() string { return "missing" }

func TestImagesFromTheParameterStore(t *testing.T) {
	store := parameters{"/images/web": DefaultImage}
	cloud(t, func(o *Options) { o.Parameters = store }, func(t *testing.T, s *Service, f *fleet, client *ec2.Client) {
		i, err := launch(t, client, func(in *ec2.RunInstancesInput) { in.ImageId = aws.String("resolve:ssm:/images/web") })
		if err != nil || *i.ImageId != DefaultImage {
			t.Errorf("launched %+v, %v", i, err)
		}
		_, err = launch(t, client, func(in *ec2.RunInstancesInput) { in.ImageId = aws.String("resolve:ssm:/other") })
		wantCode(t, err, "InvalidParameterValue")
	})
}

func TestTheNetworkIsThere(t *testing.T) {
	cloud(t, nil, func(t *testing.T, s *Service, f *fleet, client *ec2.Client) {
		subnets, err := client.DescribeSubnets(t.Context(), &ec2.DescribeSubnetsInput{
			Filters: []types.Filter{{Name: aws.String("vpc-id"), Values: []string{vpcID}}},
		})
		if err != nil || len(subnets.Subnets) != 3 || *subnets.Subnets[2].AvailabilityZone != "eu-central-1c" {
			t.Errorf("subnets %+v, %v", subnets, err)
		}
		vpcs, err := client.DescribeVpcs(t.Context(), &ec2.DescribeVpcsInput{})
		if err != nil || len(vpcs.Vpcs) != 1 || !*vpcs.Vpcs[0].IsDefault {
			t.Errorf("vpcs %+v, %v", vpcs, err)
		}
		groups, err := client.DescribeSecurityGroups(t.Context(), &ec2.DescribeSecurityGroupsInput{GroupIds: []string{groupID}})
		if err != nil || *groups.SecurityGroups[0].GroupName != "default" {
			t.Errorf("groups %+v, %v", groups, err)
		}
		zones, err := client.DescribeAvailabilityZones(t.Context(), &ec2.DescribeAvailabilityZonesInput{})
		if err != nil || len(zones.AvailabilityZones) != 3 {
			t.Errorf("zones %+v, %v", zones, err)
		}
		regions, err := client.DescribeRegions(t.Context(), &ec2.DescribeRegionsInput{})
		if err != nil || *regions.Regions[0].RegionName != "eu-central-1" {
			t.Errorf("regions %+v, %v", regions, err)
		}
		_, err = client.DescribeSubnets(t.Context(), &ec2.DescribeSubnetsInput{SubnetIds: []string{"subnet-1"}})
		wantCode(t, err, "InvalidSubnetID.NotFound")
		_, err = client.DescribeVpcs(t.Context(), &ec2.DescribeVpcsInput{VpcIds: []string{"vpc-1"}})
		wantCode(t, err, "InvalidVpcID.NotFound")
	})
}
