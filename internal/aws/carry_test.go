package aws

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	sdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// fill gives every field below v a value of its own.
func fill(t *testing.T, v reflect.Value, n *int) {
	t.Helper()
	*n++
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(t, v.Elem(), n)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		for i := range v.Len() {
			fill(t, v.Index(i), n)
		}
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			v.Set(reflect.ValueOf(time.Unix(int64(*n), 0)))
			return
		}
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				fill(t, v.Field(i), n)
			}
		}
	case reflect.String:
		v.SetString("value" + strings.Repeat("x", *n))
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int32, reflect.Int64:
		v.SetInt(int64(*n))
	case reflect.Float64:
		v.SetFloat(float64(*n))
	default:
		t.Fatalf("no value for %s", v.Type())
	}
}

// unexported fields of SDK types only forbid their encoding.
var sameData = cmp.Options{
	cmp.FilterPath(func(p cmp.Path) bool { return p.Last().String() == ".noSmithyDocumentSerde" }, cmp.Ignore()),
	cmpopts.EquateEmpty(),
}

func TestRequestDataCarriesEveryField(t *testing.T) {
	var data types.ResponseLaunchTemplateData
	n := 0
	fill(t, reflect.ValueOf(&data).Elem(), &n)
	request, err := requestData(&data)
	if err != nil {
		t.Fatal(err)
	}
	var back types.ResponseLaunchTemplateData
	if err := carry(reflect.ValueOf(&back).Elem(), reflect.ValueOf(*request), ""); err != nil {
		t.Fatalf("converting back: %v", err)
	}
	back.MetadataOptions.State = data.MetadataOptions.State
	back.Operator.Managed, back.Operator.HiddenByDefault = data.Operator.Managed, data.Operator.HiddenByDefault
	for i := range data.NetworkInterfaces {
		for j, a := range data.NetworkInterfaces[i].Ipv6Addresses {
			back.NetworkInterfaces[i].Ipv6Addresses[j].IsPrimaryIpv6 = a.IsPrimaryIpv6
		}
	}
	if diff := cmp.Diff(data, back, sameData); diff != "" {
		t.Error(diff)
	}
	if n < 300 {
		t.Errorf("only %d values were carried", n)
	}
}

func TestRequestDataOfNothing(t *testing.T) {
	for _, data := range []*types.ResponseLaunchTemplateData{nil, {}, {BlockDeviceMappings: []types.LaunchTemplateBlockDeviceMapping{}}} {
		request, err := requestData(data)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(&types.RequestLaunchTemplateData{}, request, sameData); diff != "" {
			t.Error(diff)
		}
	}
}

func TestCarryRefuses(t *testing.T) {
	type disk struct{ Size, Wear *int32 }
	type answer struct {
		Disks []disk
		Zone  *string
	}
	type smaller struct{ Size *int32 }
	type request struct {
		Disks []smaller
		Zone  *int32
	}
	for want, from := range map[string]answer{
		"":              {Disks: []disk{{Size: sdk.Int32(1)}}},
		"Disks[1].Wear": {Disks: []disk{{Size: sdk.Int32(1)}, {Wear: sdk.Int32(1)}}},
		"Zone":          {Zone: sdk.String("eu-central-1a")},
	} {
		var to request
		err := carry(reflect.ValueOf(&to).Elem(), reflect.ValueOf(from), "")
		lost := (*notCarried)(nil)
		if want == "" && err != nil || want != "" && (!errors.As(err, &lost) || lost.field != want) {
			t.Errorf("want field %q, got %v", want, err)
		}
	}
}
