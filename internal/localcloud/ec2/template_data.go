package ec2

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"reflect"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/wpbake/wpbake/internal/wire"
)

const (
	maxUserData    = 16 << 10 // before base64
	maxDescription = 255
)

// newVersion makes a version from what a request says, on top of source's data
// when there is one.
func newVersion(request *types.RequestLaunchTemplateData, description *string, source *types.ResponseLaunchTemplateData) (version, error) {
	if request == nil {
		return version{}, wire.Errorf("MissingParameter", "The request must contain the parameter LaunchTemplateData")
	}
	if len(aws.ToString(description)) > maxDescription {
		return version{}, wire.Errorf("InvalidParameterValue", "VersionDescription must have at most %d characters.", maxDescription)
	}
	v := version{Description: aws.ToString(description), Created: time.Now().UTC()}
	if source != nil {
		v.Data = *copied(source)
		dropSnapshots(&v.Data)
	}
	overwrite(reflect.ValueOf(&v.Data).Elem(), reflect.ValueOf(request).Elem())
	if v.Data.UserData != nil {
		if _, err := decodeUserData(*v.Data.UserData); err != nil {
			return version{}, err
		}
	}
	return v, nil
}

// dropSnapshots does what EC2 does to inherited block devices: their snapshots
// are forgotten unless the request repeats them.
func dropSnapshots(data *types.ResponseLaunchTemplateData) {
	for _, device := range data.BlockDeviceMappings {
		if device.Ebs != nil {
			device.Ebs.SnapshotId = nil
		}
	}
}

// overwrite copies the top-level members that a request has; lists and
// structures are replaced whole. Request and answer types name their members
// alike, so that members are matched by name all the way down.
func overwrite(into, request reflect.Value) {
	for i := range request.NumField() {
		field := into.FieldByName(request.Type().Field(i).Name)
		if request.Type().Field(i).IsExported() && field.IsValid() && !request.Field(i).IsZero() {
			field.SetZero()
			convert(field, request.Field(i))
		}
	}
}

func convert(into, from reflect.Value) {
	switch from.Kind() {
	case reflect.Pointer:
		if !from.IsNil() && into.Kind() == reflect.Pointer {
			into.Set(reflect.New(into.Type().Elem()))
			convert(into.Elem(), from.Elem())
		}
	case reflect.Slice:
		if from.IsNil() || into.Kind() != reflect.Slice {
			return
		}
		into.Set(reflect.MakeSlice(into.Type(), from.Len(), from.Len()))
		for i := range from.Len() {
			convert(into.Index(i), from.Index(i))
		}
	case reflect.Struct:
		if from.Type() == into.Type() {
			into.Set(from)
			return
		}
		overwrite(into, from)
	default:
		if from.CanConvert(into.Type()) {
			into.Set(from.Convert(into.Type()))
		}
	}
}

// copied is a deep copy.
func copied[T any](value *T) *T {
	text, err := json.Marshal(value)
	if err == nil {
		into := new(T)
		if err = json.Unmarshal(text, into); err == nil {
			return into
		}
	}
	panic(fmt.Sprintf("ec2: the SDK's %T is not JSON: %v", value, err)) // plain structures always are
}

func decodeUserData(text string) ([]byte, error) {
	data, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return nil, wire.Errorf("InvalidUserData.Malformed", "Invalid BASE64 encoding of user data.")
	}
	if len(data) > maxUserData {
		return nil, wire.Errorf("InvalidParameterValue", "User data is limited to %d bytes", maxUserData)
	}
	return data, nil
}

// warningOf says what EC2 finds out without launching. It takes the version
// nevertheless.
func warningOf(data *types.ResponseLaunchTemplateData) *types.ValidationWarning {
	if len(data.NetworkInterfaces) == 0 || len(data.SecurityGroupIds)+len(data.SecurityGroups) == 0 {
		return nil
	}
	return &types.ValidationWarning{Errors: []types.ValidationError{{
		Code:    aws.String("InvalidParameterCombination"),
		Message: aws.String("Network interfaces and an instance-level security groups may not be specified on the same request"),
	}}}
}
