package cloudwatch

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
	"github.com/aws/smithy-go"

	"github.com/wpbake/wpbake/internal/wire"
)

type inProcess struct{ service *Service }

func (p inProcess) Do(r *http.Request) (*http.Response, error) {
	recorder := httptest.NewRecorder()
	wire.Serve(recorder, r, wire.CBOR{}, p.service.Actions())
	return recorder.Result(), nil
}

func watch(t *testing.T) (*Service, *cloudwatch.Client) {
	t.Helper()
	s := New(Options{Region: "eu-central-1", Account: "123456789012"})
	return s, cloudwatch.New(cloudwatch.Options{
		Region: "eu-central-1", BaseEndpoint: aws.String("http://127.0.0.1"), HTTPClient: inProcess{s},
		Credentials: credentials.NewStaticCredentialsProvider("key", "secret", ""), Retryer: aws.NopRetryer{},
	})
}

func alarm(t *testing.T, client *cloudwatch.Client, name string) {
	t.Helper()
	if _, err := client.PutMetricAlarm(t.Context(), &cloudwatch.PutMetricAlarmInput{
		AlarmName: &name, MetricName: aws.String("HTTPCode_Target_5XX_Count"), Namespace: aws.String("AWS/ApplicationELB"),
		ComparisonOperator: types.ComparisonOperatorGreaterThanThreshold, EvaluationPeriods: aws.Int32(1), Period: aws.Int32(60),
		Threshold: aws.Float64(10.5), Statistic: types.StatisticSum,
		Dimensions: []types.Dimension{{Name: aws.String("TargetGroup"), Value: aws.String("shop")}},
	}); err != nil {
		t.Fatal(err)
	}
}

func TestAnAlarmRings(t *testing.T) {
	s, client := watch(t)
	alarm(t, client, "errors")
	if state, ok := s.AlarmState("errors"); !ok || state != "INSUFFICIENT_DATA" {
		t.Errorf("at first: %s, %v", state, ok)
	}
	if _, err := client.SetAlarmState(t.Context(), &cloudwatch.SetAlarmStateInput{
		AlarmName: aws.String("errors"), StateValue: types.StateValueAlarm, StateReason: aws.String("test"),
	}); err != nil {
		t.Fatal(err)
	}
	alarm(t, client, "errors") // configured again, it keeps ringing
	out, err := client.DescribeAlarms(t.Context(), &cloudwatch.DescribeAlarmsInput{StateValue: types.StateValueAlarm})
	if err != nil || len(out.MetricAlarms) != 1 {
		t.Fatalf("got %+v, %v", out, err)
	}
	got := out.MetricAlarms[0]
	if *got.StateReason != "test" || *got.Threshold != 10.5 || *got.Dimensions[0].Value != "shop" || got.StateUpdatedTimestamp.IsZero() {
		t.Errorf("got %+v", got)
	}
	if err := s.Ring("errors", false); err != nil {
		t.Fatal(err)
	}
	if state, _ := s.AlarmState("errors"); state != "OK" {
		t.Errorf("in the end: %s", state)
	}
	snapshot, err := s.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	restored, _ := watch(t)
	if err := restored.Restore(snapshot); err != nil {
		t.Fatal(err)
	}
	if state, ok := restored.AlarmState("errors"); !ok || state != "OK" {
		t.Errorf("restored: %s, %v", state, ok)
	}
}

func TestErrors(t *testing.T) {
	s, client := watch(t)
	alarm(t, client, "errors")
	_, missing := client.SetAlarmState(t.Context(), &cloudwatch.SetAlarmStateInput{
		AlarmName: aws.String("other"), StateValue: types.StateValueOk, StateReason: aws.String("test"),
	})
	_, value := client.SetAlarmState(t.Context(), &cloudwatch.SetAlarmStateInput{
		AlarmName: aws.String("errors"), StateValue: "LOUD", StateReason: aws.String("test"),
	})
	_, operator := client.PutMetricAlarm(t.Context(), &cloudwatch.PutMetricAlarmInput{AlarmName: aws.String("x")})
	_, gone := client.DeleteAlarms(t.Context(), &cloudwatch.DeleteAlarmsInput{AlarmNames: []string{"errors", "other"}})
	for _, test := range []struct {
		err  error
		want string
	}{{missing, "ResourceNotFound"}, {value, "ValidationError"}, {operator, "ValidationError"}, {gone, "ResourceNotFound"}} {
		var known smithy.APIError
		if !errors.As(test.err, &known) || known.ErrorCode() != test.want {
			t.Errorf("got %v, want %s", test.err, test.want)
		}
	}
	if _, ok := s.AlarmState("errors"); !ok {
		t.Error("deleted half of what was asked")
	}
	if _, err := client.DeleteAlarms(t.Context(), &cloudwatch.DeleteAlarmsInput{AlarmNames: []string{"errors"}}); err != nil {
		t.Error(err)
	}
	if _, ok := s.AlarmState("errors"); ok {
		t.Error("still there")
	}
}

func TestPages(t *testing.T) {
	_, client := watch(t)
	for n := range 7 {
		alarm(t, client, fmt.Sprintf("shop-%d", n))
	}
	alarm(t, client, "other")
	var count int
	pages := cloudwatch.NewDescribeAlarmsPaginator(client, &cloudwatch.DescribeAlarmsInput{AlarmNamePrefix: aws.String("shop-"), MaxRecords: aws.Int32(3)})
	for pages.HasMorePages() {
		out, err := pages.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		count += len(out.MetricAlarms)
	}
	if count != 7 {
		t.Errorf("got %d", count)
	}
}

// TestOtherClients are the AWS CLIs, newer and older.
func TestOtherClients(t *testing.T) {
	s, client := watch(t)
	alarm(t, client, "errors")
	for _, test := range []struct {
		name, body, target string
		protocol           wire.Protocol
		want               string
	}{
		{"json", `{"AlarmNames":["errors"]}`, "GraniteServiceVersion20100801.DescribeAlarms", wire.JSON{Version: "1.0"}, `"AlarmName":"errors"`},
		{"query", "Action=DescribeAlarms&AlarmNames.member.1=errors", "", wire.Query{}, "<member><ActionsEnabled>true</ActionsEnabled>"},
	} {
		r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(test.body))
		if test.target != "" {
			r.Header.Set("X-Amz-Target", test.target)
		}
		recorder := httptest.NewRecorder()
		wire.Serve(recorder, r, test.protocol, s.Actions())
		if text, _ := io.ReadAll(recorder.Body); recorder.Code != http.StatusOK || !strings.Contains(string(text), test.want) {
			t.Errorf("%s: %d %s", test.name, recorder.Code, text)
		}
	}
}
