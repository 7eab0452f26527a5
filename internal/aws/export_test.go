package aws

import (
	"reflect"
	"testing"

	sdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
)

// FullRequest is launch template data with a value in every field that AWS
// does not warn of beside the others.
func FullRequest(t *testing.T) *types.RequestLaunchTemplateData {
	t.Helper()
	var data types.ResponseLaunchTemplateData
	n := 0
	fill(t, reflect.ValueOf(&data).Elem(), &n)
	request, err := requestData(&data)
	if err != nil {
		t.Fatal(err)
	}
	request.UserData = sdk.String("Iw==")                       // base64 is checked
	request.SecurityGroupIds, request.SecurityGroups = nil, nil // network interfaces have their own
	return request
}
