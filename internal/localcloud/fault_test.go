package localcloud

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/credentials/ec2rolecreds"
	"github.com/aws/aws-sdk-go-v2/feature/ec2/imds"
	sdkec2 "github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	sdks3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/wpbake/wpbake/internal/aws/awstest"
	"github.com/wpbake/wpbake/internal/localcloud/ec2"
	"github.com/wpbake/wpbake/internal/wire"
)

func TestFaultsStrikeAndEnd(t *testing.T) {
	r := run(t, Options{})
	calls := r.calls(r.config())
	for _, test := range []struct {
		fault, service string
		want           []string // codes of calls one after the other
	}{
		{`{"kind":"throttle","target":"DescribeInstances","count":2}`, "ec2", []string{"RequestLimitExceeded", "RequestLimitExceeded", ""}},
		{`{"kind":"throttle","count":1}`, "ssm", []string{"ThrottlingException", ""}},
		{`{"kind":"throttle","count":1}`, "cloudwatch", []string{"Throttling", ""}},
		{`{"kind":"throttle","percent":50,"count":2}`, "autoscaling", []string{"", "Throttling", "", "Throttling", "", ""}},
		{`{"kind":"expired-credentials","count":1}`, "autoscaling", []string{"ExpiredToken", ""}},
		{`{"kind":"expired-credentials","count":1}`, "s3", []string{"ExpiredToken", ""}},
		{`{"kind":"s3-slow-down","count":1}`, "s3", []string{"SlowDown", ""}},
		{`{"kind":"throttle"}`, "elb", []string{"Throttling", "Throttling"}},
		{`{"kind":"clear"}`, "elb", []string{""}},
	} {
		r.fault(t, test.fault)
		for n, want := range test.want {
			if got := codeOf(calls[test.service](t.Context())); got != want {
				t.Errorf("%s, call %d: got %q, want %q", test.fault, n, got, want)
			}
		}
	}
}

func TestNoCapacityAndLag(t *testing.T) {
	r := run(t, Options{})
	r.fault(t, `{"kind":"no-capacity","count":1}`)
	_, err := launch(t, r, ec2.DefaultImage)
	if codeOf(err) != "InsufficientInstanceCapacity" {
		t.Errorf("got %v", err)
	}
	r.fault(t, `{"kind":"lag","seconds":3600}`)
	instance, err := launch(t, r, ec2.DefaultImage)
	if err != nil {
		t.Fatal(err)
	}
	describe := func() error {
		_, err := sdkec2.NewFromConfig(r.config()).DescribeInstances(t.Context(), &sdkec2.DescribeInstancesInput{InstanceIds: []string{*instance.InstanceId}})
		return err
	}
	if got := codeOf(describe()); got != "InvalidInstanceID.NotFound" {
		t.Errorf("lagging: %q", got)
	}
	r.fault(t, `{"kind":"clear"}`)
	if err := describe(); err != nil {
		t.Error(err)
	}
	eventually(t, "the machine", func() bool { _, running := r.ec2.Address(*instance.InstanceId); return running })
	r.fault(t, `{"kind":"kill","target":"`+*instance.InstanceId+`"}`)
	eventually(t, "its end", func() bool { state, _, _ := r.ec2.State(*instance.InstanceId); return state == "terminated" })
}

// TestALostAnswerIsAnsweredAgain has the effect happen, the connection cut, and
// the SDK's own retry find what the first attempt made.
func TestALostAnswerIsAnsweredAgain(t *testing.T) {
	r := run(t, Options{})
	config := r.config()
	config.Retryer = func() aws.Retryer { return retry.NewStandard() }
	client := sdkec2.NewFromConfig(config)
	r.fault(t, `{"kind":"lost-answer","target":"CreateLaunchTemplate","count":1}`)
	made, err := client.CreateLaunchTemplate(t.Context(), &sdkec2.CreateLaunchTemplateInput{
		LaunchTemplateName: aws.String("shop"), LaunchTemplateData: &types.RequestLaunchTemplateData{ImageId: aws.String(ec2.DefaultImage)},
	})
	if err != nil {
		t.Fatal(err)
	}
	all, err := client.DescribeLaunchTemplates(t.Context(), &sdkec2.DescribeLaunchTemplatesInput{})
	if err != nil || len(all.LaunchTemplates) != 1 || *all.LaunchTemplates[0].LaunchTemplateId != *made.LaunchTemplate.LaunchTemplateId {
		t.Errorf("templates %+v, %v", all, err)
	}
	objects := r.s3(config)
	if _, err := objects.CreateBucket(t.Context(), &sdks3.CreateBucketInput{Bucket: aws.String("releases")}); err != nil {
		t.Fatal(err)
	}
	r.fault(t, `{"kind":"lost-answer","target":"PutObject","count":1}`)
	_, err = objects.PutObject(t.Context(), &sdks3.PutObjectInput{
		Bucket: aws.String("releases"), Key: aws.String("a/b"), Body: strings.NewReader("text"), IfNoneMatch: aws.String("*"),
	})
	if codeOf(err) != "PreconditionFailed" {
		t.Errorf("the second attempt must meet what the first one made: %v", err)
	}
}

// TestALostAnswerWithoutAConnection is for transports inside a process.
func TestALostAnswerWithoutAConnection(t *testing.T) {
	r := run(t, Options{})
	r.fault(t, `{"kind":"lost-answer","count":1}`)
	config := r.config()
	config.HTTPClient = awstest.Transport{Handler: r.Cloud}
	err := r.calls(config)["ec2"](t.Context())
	if err == nil || !strings.Contains(err.Error(), "StatusCode: 500") {
		t.Errorf("got %v", err)
	}
}

type healthy struct{}

func (healthy) Probe(context.Context, string, string) (int, error) { return http.StatusOK, nil }

func TestSickInstances(t *testing.T) {
	r := run(t, Options{Prober: healthy{}})
	instance, err := launch(t, r, ec2.DefaultImage)
	if err != nil {
		t.Fatal(err)
	}
	probe := func() int {
		status, err := r.prober().Probe(t.Context(), "http://"+*instance.PrivateIpAddress+":80/", "")
		if err != nil {
			t.Fatal(err)
		}
		return status
	}
	for _, test := range []struct {
		fault string
		want  int
	}{
		{`{"kind":"unhealthy","target":"i-other"}`, 200},
		{`{"kind":"unhealthy","target":"` + *instance.InstanceId + `"}`, 503},
		{`{"kind":"clear"}`, 200},
		{`{"kind":"unhealthy","percent":100}`, 503},
	} {
		r.fault(t, test.fault)
		if got := probe(); got != test.want {
			t.Errorf("%s: %d, want %d", test.fault, got, test.want)
		}
	}
}

func TestControl(t *testing.T) {
	r := run(t, Options{})
	for _, test := range []struct {
		name, path, body string // no body is a question
		want             int
	}{
		{"status", "/_local/status", "", 200},
		{"unknown fault", "/_local/fault", `{"kind":"fire"}`, 400},
		{"unknown member", "/_local/fault", `{"kind":"clear","when":"now"}`, 400},
		{"too much", "/_local/fault", `{"kind":"throttle","percent":101}`, 400},
		{"unknown alarm", "/_local/fault", `{"kind":"alarm","target":"x"}`, 400},
		{"nothing there", "/_local/other", "", 404},
	} {
		t.Run(test.name, func(t *testing.T) {
			var body []byte
			if test.body != "" {
				body = []byte(test.body)
			}
			if status, text := r.ask(t, test.path, body); status != test.want {
				t.Errorf("got %d %s, want %d", status, text, test.want)
			}
		})
	}
}

func TestStatus(t *testing.T) {
	r := run(t, Options{})
	instance, err := launch(t, r, ec2.DefaultImage)
	if err != nil {
		t.Fatal(err)
	}
	_, text := r.ask(t, "/_local/status", nil)
	var status Status
	if err := json.Unmarshal([]byte(text), &status); err != nil || len(status.Instances) != 1 || status.Instances[0].ID != *instance.InstanceId || status.Endpoint != r.url {
		t.Errorf("status %s, %v", text, err)
	}
	if !strings.Contains(text, `"groups": []`) {
		t.Errorf("an empty list must be a list: %s", text)
	}
}

// TestInstancesHaveARole walks what a node does: metadata, credentials, call.
func TestInstancesHaveARole(t *testing.T) {
	r := run(t, Options{})
	instance, err := launch(t, r, ec2.DefaultImage)
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the machine", func() bool { return len(r.runner.machines()) == 1 })
	environ := map[string]string{}
	for _, pair := range r.runner.machines()[0].Environ {
		name, value, _ := strings.Cut(pair, "=")
		environ[name] = value
	}
	metadata := imds.New(imds.Options{Endpoint: environ["AWS_EC2_METADATA_SERVICE_ENDPOINT"], EnableFallback: aws.FalseTernary})
	document, err := metadata.GetInstanceIdentityDocument(t.Context(), &imds.GetInstanceIdentityDocumentInput{})
	if err != nil || document.InstanceID != *instance.InstanceId {
		t.Fatalf("document %+v, %v", document, err)
	}
	config := r.config()
	config.BaseEndpoint = aws.String(environ["AWS_ENDPOINT_URL"])
	config.Credentials = ec2rolecreds.New(func(o *ec2rolecreds.Options) { o.Client = metadata })
	identity, err := sts.NewFromConfig(config).GetCallerIdentity(t.Context(), &sts.GetCallerIdentityInput{})
	if err != nil || !strings.Contains(*identity.Arn, ":assumed-role/wpbake-node/") {
		t.Errorf("identity %+v, %v", identity, err)
	}
	calls := r.calls(config)
	for name, want := range map[string]string{
		"s3": "AccessDenied", "ec2": "UnauthorizedOperation", "autoscaling": "AccessDenied", "elb": "AccessDenied",
		"cloudwatch": "AccessDenied", "ssm": "", "sts": "",
	} {
		if got := codeOf(calls[name](t.Context())); got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
}

func TestRoleKeysEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := keys{"wpbake", "secret"}
		issued := k.issue("i-1", time.Now())
		if again := k.issue("i-1", time.Now().Add(59*time.Minute)); again != issued {
			t.Error("within the hour the credentials change")
		}
		if other := k.issue("i-2", time.Now()); other.AccessKey == issued.AccessKey {
			t.Error("two instances share credentials")
		}
		key, ok := k.find(issued.AccessKey)
		if !ok || key != (wire.Key{Secret: issued.SecretKey, Token: issued.Token, Expires: issued.Expires}) {
			t.Errorf("found %+v, %v", key, ok)
		}
		for _, unknown := range []string{"", "ASIA", "ASIAX", "AKIA" + issued.AccessKey[4:]} {
			if _, ok := k.find(unknown); ok {
				t.Errorf("%q was found", unknown)
			}
		}
	})
}
