package aws_test

import (
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"testing"

	"github.com/aws/smithy-go/encoding/cbor"
	"github.com/google/go-cmp/cmp"

	"github.com/wpbake/wpbake/internal/aws/awstest"
	"github.com/wpbake/wpbake/rollout"
)

func TestTargets(t *testing.T) {
	s := newScript(t, map[string][]string{"DescribeTargetHealth": {result("DescribeTargetHealth", `<TargetHealthDescriptions>
		<member><Target><Id>i-1</Id><Port>80</Port></Target><HealthCheckPort>80</HealthCheckPort><TargetHealth><State>healthy</State></TargetHealth></member>
		<member><Target><Id>i-2</Id><Port>80</Port></Target><TargetHealth><State>unhealthy</State><Reason>Target.ResponseCodeMismatch</Reason>
		<Description>Health checks failed with these codes: [503]</Description></TargetHealth></member></TargetHealthDescriptions>`)}})
	got, err := awstest.Clients(t, s).Cloud().Fleet.Targets(t.Context(), "arn:tg/1")
	if err != nil {
		t.Fatal(err)
	}
	want := []rollout.Target{
		{ID: "i-1", State: "healthy"},
		{ID: "i-2", State: "unhealthy", Reason: "Target.ResponseCodeMismatch", Description: "Health checks failed with these codes: [503]"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	s.wantSent("DescribeTargetHealth", "TargetGroupArn=arn:tg/1\n")
}

// alarms answers CloudWatch's CBOR protocol: every alarm asked for is OK, but
// "composite" rings and "missing" is not there.
type alarms struct {
	t       *testing.T
	batches []int
}

func (a *alarms) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		a.t.Error(err)
	}
	v, err := cbor.Decode(body)
	if err != nil {
		a.t.Fatal(err)
	}
	in := v.(cbor.Map)
	if kinds := in["AlarmTypes"].(cbor.List); len(kinds) != 2 {
		a.t.Errorf("alarm types %v", kinds)
	}
	metric, composite := cbor.List{}, cbor.List{}
	for _, n := range in["AlarmNames"].(cbor.List) {
		switch n.(cbor.String) {
		case "composite":
			composite = append(composite, cbor.Map{"AlarmName": n, "StateValue": cbor.String("ALARM")})
		case "missing":
		default:
			metric = append(metric, cbor.Map{"AlarmName": n, "StateValue": cbor.String("OK")})
		}
	}
	a.batches = append(a.batches, len(in["AlarmNames"].(cbor.List)))
	w.Header().Set("Smithy-Protocol", "rpc-v2-cbor")
	w.Header().Set("Content-Type", "application/cbor")
	_, _ = w.Write(cbor.Encode(cbor.Map{"MetricAlarms": metric, "CompositeAlarms": composite}))
}

func TestAlarms(t *testing.T) {
	a := &alarms{t: t}
	names := []string{"composite", "missing"}
	want := map[string]string{"composite": "ALARM"}
	for i := range 150 {
		names = append(names, fmt.Sprint("errors-", i))
		want[names[len(names)-1]] = "OK"
	}
	fleet := awstest.Clients(t, a).Cloud().Fleet
	got, err := fleet.Alarms(t.Context(), names)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]int{100, 52}, a.batches); diff != "" {
		t.Error(diff)
	}
	// No names would mean all alarms to AWS.
	if got, err := fleet.Alarms(t.Context(), nil); err != nil || len(got) != 0 || len(a.batches) != 2 {
		t.Errorf("no names: %v, %v after %d calls", got, err, len(a.batches))
	}
}

func TestConsole(t *testing.T) {
	output := func(text string) string {
		return "<GetConsoleOutputResponse><instanceId>i-1</instanceId><output>" + base64.StdEncoding.EncodeToString([]byte(text)) + "</output></GetConsoleOutputResponse>"
	}
	for name, c := range map[string]struct {
		answers []string
		want    string
	}{
		"nitro": {[]string{output("booting\n")}, "booting\n"},
		"older": {[]string{ec2Refusal(400, "UnsupportedOperation", "This instance type does not support retrieving the latest console logs."), output("before\n")}, "before\n"},
		"empty": {[]string{"<GetConsoleOutputResponse><instanceId>i-1</instanceId></GetConsoleOutputResponse>"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := newScript(t, map[string][]string{"GetConsoleOutput": c.answers})
			got, err := awstest.Clients(t, s).Cloud().Fleet.Console(t.Context(), "i-1")
			if err != nil || got != c.want {
				t.Errorf("got %q, %v", got, err)
			}
		})
	}
	s := newScript(t, map[string][]string{"GetConsoleOutput": {"<GetConsoleOutputResponse><output>%</output></GetConsoleOutputResponse>"}})
	if _, err := awstest.Clients(t, s).Cloud().Fleet.Console(t.Context(), "i-1"); err == nil {
		t.Error("output that is not base64 was taken")
	}
}
