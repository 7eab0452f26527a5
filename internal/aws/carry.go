package aws

import (
	"fmt"
	"reflect"

	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
)

// requestData is the request that asks for data as it was described. EC2's
// requests and answers have types of their own, alike field by field; a field
// that holds something and has no counterpart is an error, because a copy
// without it would launch other nodes.
func requestData(data *types.ResponseLaunchTemplateData) (*types.RequestLaunchTemplateData, error) {
	var request types.RequestLaunchTemplateData
	if data == nil {
		return &request, nil
	}
	if err := carry(reflect.ValueOf(&request).Elem(), reflect.ValueOf(*data), ""); err != nil {
		return nil, err
	}
	return &request, nil
}

// derived are fields of answers that AWS works out from others, so no request
// has them. Reading the copy back compares all but the state.
func derived(parent reflect.Type, field string) bool {
	switch parent {
	case reflect.TypeFor[types.LaunchTemplateInstanceMetadataOptions]():
		return field == "State" // pending, then applied
	case reflect.TypeFor[types.InstanceIpv6Address]():
		return field == "IsPrimaryIpv6" // from the interface's PrimaryIpv6
	case reflect.TypeFor[types.OperatorResponse]():
		return field == "Managed" || field == "HiddenByDefault" // from Principal
	}
	return false
}

func carry(to, from reflect.Value, path string) error {
	switch {
	case from.IsZero():
		return nil
	case to.Type() == from.Type():
		to.Set(from)
		return nil
	case to.Kind() != from.Kind():
		return &notCarried{field: path}
	}
	switch from.Kind() {
	case reflect.Pointer:
		to.Set(reflect.New(to.Type().Elem()))
		return carry(to.Elem(), from.Elem(), path)
	case reflect.Slice:
		to.Set(reflect.MakeSlice(to.Type(), from.Len(), from.Len()))
		for i := range from.Len() {
			if err := carry(to.Index(i), from.Index(i), fmt.Sprintf("%s[%d]", path, i)); err != nil {
				return err
			}
		}
		return nil
	case reflect.Struct:
		return carryFields(to, from, path)
	case reflect.String: // enumerations
		to.SetString(from.String())
		return nil
	}
	return &notCarried{field: path}
}

func carryFields(to, from reflect.Value, path string) error {
	for i := range from.NumField() {
		field := from.Type().Field(i)
		if !field.IsExported() || from.Field(i).IsZero() || derived(from.Type(), field.Name) {
			continue
		}
		name := field.Name
		if path != "" {
			name = path + "." + name
		}
		target := to.FieldByName(field.Name)
		if !target.IsValid() {
			return &notCarried{field: name}
		}
		if err := carry(target, from.Field(i), name); err != nil {
			return err
		}
	}
	return nil
}

// notCarried says that a template holds something this program cannot ask for.
type notCarried struct{ field string }

func (e *notCarried) Error() string {
	return fmt.Sprintf("launch template field %q cannot be copied", e.field)
}

// Hint says how to get around it.
func (e *notCarried) Hint() string {
	return "a newer wpbake may know the field; without it in the template this one can go on"
}
