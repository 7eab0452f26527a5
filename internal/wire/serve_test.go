package wire

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	astypes "github.com/aws/aws-sdk-go-v2/service/autoscaling/types"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	ssmtypes "github.com/aws/aws-sdk-go-v2/service/ssm/types"
	"github.com/aws/smithy-go"
)

func serving(p Protocol, actions Actions) roundTripper {
	return func(r *http.Request) (*http.Response, error) {
		recorder := httptest.NewRecorder()
		Serve(recorder, r, p, actions)
		return recorder.Result(), nil
	}
}

func refusing(code string) func(context.Context, *autoscaling.StartInstanceRefreshInput) (*autoscaling.StartInstanceRefreshOutput, error) {
	return func(context.Context, *autoscaling.StartInstanceRefreshInput) (*autoscaling.StartInstanceRefreshOutput, error) {
		return nil, Errorf(code, "no <%s>", "really")
	}
}

func TestErrorsAreTheSDKsOwn(t *testing.T) {
	t.Run("query", func(t *testing.T) {
		actions := Actions{"StartInstanceRefresh": Handle(refusing("InstanceRefreshInProgress"))}
		client := clients(serving(Query{}, actions))["autoscaling"].client.(*autoscaling.Client)
		_, err := client.StartInstanceRefresh(t.Context(), &autoscaling.StartInstanceRefreshInput{})
		var typed *astypes.InstanceRefreshInProgressFault
		if !errors.As(err, &typed) || typed.ErrorMessage() != "no <really>" {
			t.Errorf("got %v", err)
		}
	})
	t.Run("json", func(t *testing.T) {
		actions := Actions{"GetParameter": Handle(func(context.Context, *ssm.GetParameterInput) (*ssm.GetParameterOutput, error) {
			return nil, Errorf("ParameterNotFound", "gone")
		})}
		client := clients(serving(JSON{Version: "1.1"}, actions))["ssm"].client.(*ssm.Client)
		_, err := client.GetParameter(t.Context(), &ssm.GetParameterInput{})
		var typed *ssmtypes.ParameterNotFound
		if !errors.As(err, &typed) {
			t.Errorf("got %v", err)
		}
	})
}

func TestUnknownActionsGetAWSsOwnAnswer(t *testing.T) {
	services := func(p Protocol, name string) any { return clients(serving(p, Actions{}))[name].client }
	_, query := services(Query{}, "autoscaling").(*autoscaling.Client).StartInstanceRefresh(t.Context(), &autoscaling.StartInstanceRefreshInput{})
	_, ec2Query := services(EC2{}, "ec2").(*ec2.Client).DescribeInstances(t.Context(), &ec2.DescribeInstancesInput{})
	_, json := services(JSON{Version: "1.1"}, "ssm").(*ssm.Client).GetParameter(t.Context(), &ssm.GetParameterInput{})
	_, cbor := services(CBOR{}, "cloudwatch").(*cloudwatch.Client).DescribeAlarms(t.Context(), &cloudwatch.DescribeAlarmsInput{})
	for _, test := range []struct {
		err  error
		want string
	}{
		{query, "InvalidAction"}, {ec2Query, "InvalidAction"}, {json, "UnknownOperationException"}, {cbor, "InvalidAction"},
	} {
		var known smithy.APIError
		if !errors.As(test.err, &known) || known.ErrorCode() != test.want {
			t.Errorf("got %v, want %s", test.err, test.want)
		}
	}
}

func TestRequestsThatAreNone(t *testing.T) {
	long := "Action=StartInstanceRefresh&A=" + strings.Repeat("x", MaxBody)
	for _, test := range []struct {
		name, body string
		status     int
		want       string
	}{
		{"no action", "Version=1", 400, "<Code>MissingAction</Code>"},
		{"bad escape", "Action=%zz", 400, "<Code>MalformedQueryString</Code>"},
		{"bad number", "Action=StartInstanceRefresh&Preferences.MinHealthyPercentage=many", 400, "parameter Preferences.MinHealthyPercentage"},
		{"too long", long, 413, "<Code>RequestEntityTooLarge</Code>"},
		{"trouble of ours", "Action=Broken", 500, "<Type>Receiver</Type><Code>InternalFailure</Code>"},
		{"unknown parameter", "Action=StartInstanceRefresh&FromTheFuture.member.1=x", 200, "<StartInstanceRefreshResult>"},
	} {
		t.Run(test.name, func(t *testing.T) {
			actions := Actions{
				"StartInstanceRefresh": Handle(func(context.Context, *autoscaling.StartInstanceRefreshInput) (*autoscaling.StartInstanceRefreshOutput, error) {
					return &autoscaling.StartInstanceRefreshOutput{}, nil
				}),
				"Broken": Handle(func(context.Context, *autoscaling.StartInstanceRefreshInput) (*autoscaling.StartInstanceRefreshOutput, error) {
					return nil, errors.New("disk full")
				}),
			}
			recorder := httptest.NewRecorder()
			Serve(recorder, httptest.NewRequest(http.MethodPost, "/", strings.NewReader(test.body)), Query{}, actions)
			if recorder.Code != test.status || !strings.Contains(recorder.Body.String(), test.want) {
				t.Errorf("got %d %s", recorder.Code, recorder.Body)
			}
		})
	}
}

func TestXMLFollowsWhatBothSDKsNeed(t *testing.T) {
	recorder := httptest.NewRecorder()
	empty := ""
	Query{Namespace: "ns"}.WriteOutput(recorder, Answer{Action: "DescribeTags", RequestID: "id", Output: &autoscaling.DescribeTagsOutput{
		NextToken: &empty,
		Tags:      []astypes.TagDescription{{Key: &empty}},
	}})
	want := xmlHeader + `<DescribeTagsResponse xmlns="ns"><DescribeTagsResult>` +
		`<Tags><member><Key></Key></member></Tags>` + // the token is left out, the tag's key is what it is
		`</DescribeTagsResult><ResponseMetadata><RequestId>id</RequestId></ResponseMetadata></DescribeTagsResponse>`
	if got := recorder.Body.String(); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	recorder = httptest.NewRecorder()
	EC2{}.WriteOutput(recorder, Answer{Action: "DescribeInstances", RequestID: "id", Output: &ec2.DescribeInstancesOutput{}})
	if got := recorder.Body.String(); !strings.Contains(got, "<requestId>id</requestId><reservationSet></reservationSet>") {
		t.Errorf("got %s", got)
	}
}

func FuzzForm(f *testing.F) {
	f.Add("Action=StartInstanceRefresh&Preferences.CheckpointPercentages.member.1=50&Preferences.CheckpointPercentages.member.x=1")
	f.Add("a.b.c=1&a.b=2&a=3&DesiredConfiguration.MixedInstancesPolicy.LaunchTemplate.Overrides.member.99999999999.InstanceType=x")
	f.Add("Preferences.AlarmSpecification.Alarms=&Preferences.SkipMatching=TRUE")
	f.Fuzz(func(t *testing.T, body string) {
		parameters, err := parseForm(body)
		if err != nil {
			return
		}
		for _, input := range []any{&autoscaling.StartInstanceRefreshInput{}, &ec2.CreateLaunchTemplateVersionInput{}} {
			for _, names := range []nameOf{queryName, ec2Request} {
				_ = parameters.fill(reflect.ValueOf(input), names, "")
			}
		}
	})
}

func FuzzCBOR(f *testing.F) {
	f.Add([]byte{0xa1, 0x69, 'A', 'l', 'a', 'r', 'm', 'N', 'a', 'm', 'e', 0x61, 'x'})
	f.Add([]byte{0xbf, 0xff})
	f.Add([]byte{0x9b, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, body []byte) { _ = fillCBOR(&cloudwatch.PutMetricAlarmInput{}, body) })
}

func FuzzJSON(f *testing.F) {
	f.Add([]byte(`{"Name":"x","Value":[1e999],"Overwrite":"yes","Tags":[{}]}`))
	f.Fuzz(func(t *testing.T, body []byte) { _ = fillJSON(&ssm.PutParameterInput{}, body) })
}
