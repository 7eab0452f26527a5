package localcloud

import (
	"errors"
	"net/http"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdkec2 "github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	iamtypes "github.com/aws/aws-sdk-go-v2/service/iam/types"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/wpbake/wpbake/internal/localcloud/ec2"
)

func TestInstanceProfiles(t *testing.T) {
	dir := t.TempDir()
	first := run(t, Options{Dir: dir})
	client, ctx := iam.NewFromConfig(first.config()), t.Context()
	get := func(client *iam.Client, name string) (*iamtypes.InstanceProfile, error) {
		out, err := client.GetInstanceProfile(ctx, &iam.GetInstanceProfileInput{InstanceProfileName: &name})
		if err != nil {
			return nil, err
		}
		return out.InstanceProfile, nil
	}
	var missing *iamtypes.NoSuchEntityException
	var response *smithyhttp.ResponseError
	if _, err := get(client, "builder"); !errors.As(err, &missing) || !errors.As(err, &response) || response.HTTPStatusCode() != http.StatusNotFound {
		t.Errorf("an unknown profile: %v", err)
	}
	if p, err := get(client, "wpbake-node"); err != nil || len(p.Roles) != 1 || *p.Roles[0].RoleName != "wpbake-node" {
		t.Errorf("the profile that is there: %+v, %v", p, err)
	}

	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	name := aws.String("builder")
	_, err := client.CreateInstanceProfile(ctx, &iam.CreateInstanceProfileInput{InstanceProfileName: name})
	must(err)
	var exists *iamtypes.EntityAlreadyExistsException
	if _, err := client.CreateInstanceProfile(ctx, &iam.CreateInstanceProfileInput{InstanceProfileName: name}); !errors.As(err, &exists) {
		t.Errorf("made twice: %v", err)
	}
	if _, err := client.AddRoleToInstanceProfile(ctx, &iam.AddRoleToInstanceProfileInput{InstanceProfileName: name, RoleName: name}); !errors.As(err, &missing) {
		t.Errorf("an unknown role: %v", err)
	}
	_, err = client.CreateRole(ctx, &iam.CreateRoleInput{RoleName: name, AssumeRolePolicyDocument: aws.String(`{"Version":"2012-10-17"}`)})
	must(err)
	_, err = client.AddRoleToInstanceProfile(ctx, &iam.AddRoleToInstanceProfileInput{InstanceProfileName: name, RoleName: name})
	must(err)
	var limit *iamtypes.LimitExceededException
	if _, err := client.AddRoleToInstanceProfile(ctx, &iam.AddRoleToInstanceProfileInput{InstanceProfileName: name, RoleName: aws.String("wpbake-node")}); !errors.As(err, &limit) {
		t.Errorf("a second role: %v", err)
	}
	machines := sdkec2.NewFromConfig(first.config())
	launch := func(profile string) error {
		_, err := machines.RunInstances(ctx, &sdkec2.RunInstancesInput{
			ImageId: aws.String(ec2.DefaultImage), MinCount: aws.Int32(1), MaxCount: aws.Int32(1),
			IamInstanceProfile: &types.IamInstanceProfileSpecification{Name: &profile},
		})
		return err
	}
	must(launch("builder"))
	if err := launch("nobody"); codeOf(err) != "InvalidParameterValue" {
		t.Errorf("an instance with an unknown profile: %v", err)
	}
	first.stop()

	client = iam.NewFromConfig(run(t, Options{Dir: dir}).config())
	p, err := get(client, "builder")
	if err != nil || *p.Arn != "arn:aws:iam::123456789012:instance-profile/builder" || len(p.Roles) != 1 || *p.Roles[0].Arn != "arn:aws:iam::123456789012:role/builder" {
		t.Errorf("after a restart: %+v, %v", p, err)
	}
	var conflict *iamtypes.DeleteConflictException
	if _, err := client.DeleteInstanceProfile(ctx, &iam.DeleteInstanceProfileInput{InstanceProfileName: name}); !errors.As(err, &conflict) {
		t.Errorf("deleted with a role in it: %v", err)
	}
	if _, err := client.DeleteRole(ctx, &iam.DeleteRoleInput{RoleName: name}); !errors.As(err, &conflict) {
		t.Errorf("deleted in a profile: %v", err)
	}
	_, err = client.RemoveRoleFromInstanceProfile(ctx, &iam.RemoveRoleFromInstanceProfileInput{InstanceProfileName: name, RoleName: name})
	must(err)
	_, err = client.DeleteInstanceProfile(ctx, &iam.DeleteInstanceProfileInput{InstanceProfileName: name})
	must(err)
	_, err = client.DeleteRole(ctx, &iam.DeleteRoleInput{RoleName: name})
	must(err)
	if _, err := client.GetRole(ctx, &iam.GetRoleInput{RoleName: name}); !errors.As(err, &missing) {
		t.Errorf("a role that is gone: %v", err)
	}
}
