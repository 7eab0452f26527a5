package localcloud

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	cwtypes "github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
	sdkec2 "github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	sdks3 "github.com/aws/aws-sdk-go-v2/service/s3"
	sdkssm "github.com/aws/aws-sdk-go-v2/service/ssm"
	ssmtypes "github.com/aws/aws-sdk-go-v2/service/ssm/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"

	"github.com/wpbake/wpbake/internal/localcloud/control"
	"github.com/wpbake/wpbake/internal/localcloud/ec2"
)

// idle runs machines that do nothing.
type idle struct {
	mu      sync.Mutex
	started []ec2.Machine
}

func (i *idle) Start(_ context.Context, m ec2.Machine) (ec2.Process, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.started = append(i.started, m)
	return &process{done: make(chan struct{})}, nil
}

func (i *idle) machines() []ec2.Machine {
	i.mu.Lock()
	defer i.mu.Unlock()
	return append([]ec2.Machine(nil), i.started...)
}

type process struct {
	once sync.Once
	done chan struct{}
}

func (p *process) Console() []byte { return nil }

func (p *process) Stop(context.Context) error { return p.Kill() }

func (p *process) Kill() error {
	p.once.Do(func() { close(p.done) })
	return nil
}

func (p *process) Done() <-chan struct{} { return p.done }

// Calls takes all of this test's connections for the machine's.
func (p *process) Calls(_, _ netip.AddrPort) bool { return true }

// running is a cloud behind a real server, and what clients need of it.
type running struct {
	*Cloud
	url    string
	runner *idle
	stop   func()
}

func run(t *testing.T, o Options) *running {
	t.Helper()
	r := &running{runner: &idle{}}
	server := httptest.NewUnstartedServer(nil)
	r.url = "http://" + server.Listener.Addr().String()
	o.Runner, o.Endpoint = cmp.Or[ec2.Runner](o.Runner, r.runner), r.url
	var err error
	if r.Cloud, err = New(o); err != nil {
		t.Fatal(err)
	}
	server.Config.Handler = r.Cloud
	server.Start()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()
	r.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		server.Close()
	})
	t.Cleanup(r.stop)
	return r
}

func (r *running) config() aws.Config {
	environ := r.Environ()
	return aws.Config{
		Region: environ["AWS_REGION"], BaseEndpoint: aws.String(environ["AWS_ENDPOINT_URL"]),
		Credentials: credentials.NewStaticCredentialsProvider(environ["AWS_ACCESS_KEY_ID"], environ["AWS_SECRET_ACCESS_KEY"], ""),
		Retryer:     func() aws.Retryer { return aws.NopRetryer{} },
	}
}

func (r *running) s3(config aws.Config) *sdks3.Client {
	return sdks3.NewFromConfig(config, func(o *sdks3.Options) { o.UsePathStyle = true })
}

func (r *running) fault(t *testing.T, document string) {
	t.Helper()
	if status, text := r.ask(t, "/_local/fault", []byte(document)); status != http.StatusOK {
		t.Fatalf("fault %s: %d %s", document, status, text)
	}
}

// ask asks the cloud about itself.
func (r *running) ask(t *testing.T, path string, body []byte) (int, string) {
	t.Helper()
	request, err := control.Request(t.Context(), r.Environ(), path, body)
	if err != nil {
		t.Fatal(err)
	}
	return send(t, request)
}

func send(t *testing.T, request *http.Request) (int, string) {
	t.Helper()
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(text)
}

// eventually waits for what happens in the background.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(2 * time.Minute)
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

func codeOf(err error) string {
	var known smithy.APIError
	if errors.As(err, &known) {
		return known.ErrorCode()
	}
	if err != nil {
		return err.Error()
	}
	return ""
}

// calls asks each service for something small.
func (r *running) calls(config aws.Config) map[string]func(context.Context) error {
	return map[string]func(context.Context) error{
		"s3": func(ctx context.Context) error {
			_, err := r.s3(config).ListBuckets(ctx, &sdks3.ListBucketsInput{})
			return err
		},
		"ec2": func(ctx context.Context) error {
			_, err := sdkec2.NewFromConfig(config).DescribeInstances(ctx, &sdkec2.DescribeInstancesInput{})
			return err
		},
		"autoscaling": func(ctx context.Context) error {
			_, err := autoscaling.NewFromConfig(config).DescribeAutoScalingGroups(ctx, &autoscaling.DescribeAutoScalingGroupsInput{})
			return err
		},
		"elb": func(ctx context.Context) error {
			_, err := elasticloadbalancingv2.NewFromConfig(config).DescribeLoadBalancers(ctx, &elasticloadbalancingv2.DescribeLoadBalancersInput{})
			return err
		},
		"cloudwatch": func(ctx context.Context) error {
			_, err := cloudwatch.NewFromConfig(config).DescribeAlarms(ctx, &cloudwatch.DescribeAlarmsInput{})
			return err
		},
		"ssm": func(ctx context.Context) error {
			_, err := sdkssm.NewFromConfig(config).GetParametersByPath(ctx, &sdkssm.GetParametersByPathInput{Path: aws.String("/")})
			return err
		},
		"sts": func(ctx context.Context) error {
			_, err := sts.NewFromConfig(config).GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
			return err
		},
	}
}

func TestEveryServiceIsAtOneAddress(t *testing.T) {
	r := run(t, Options{})
	for name, call := range r.calls(r.config()) {
		if err := call(t.Context()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestWhoMayNotCall(t *testing.T) {
	r := run(t, Options{})
	wrong, unknown, anonymous := r.config(), r.config(), r.config()
	wrong.Credentials = credentials.NewStaticCredentialsProvider(r.Environ()["AWS_ACCESS_KEY_ID"], "wrong", "")
	unknown.Credentials = credentials.NewStaticCredentialsProvider("AKIAUNKNOWN", "wrong", "")
	anonymous.Credentials = aws.AnonymousCredentials{}
	other := func(code string) map[string]string {
		return map[string]string{"ec2": code, "autoscaling": code, "elb": code, "sts": code, "cloudwatch": code}
	}
	for _, test := range []struct {
		config       aws.Config
		s3, ssm, any string
	}{
		{wrong, "SignatureDoesNotMatch", "InvalidSignatureException", "SignatureDoesNotMatch"},
		{unknown, "InvalidAccessKeyId", "UnrecognizedClientException", "InvalidClientTokenId"},
	} {
		want := other(test.any)
		want["s3"], want["ssm"] = test.s3, test.ssm
		for name, call := range r.calls(test.config) {
			if got := codeOf(call(t.Context())); got != want[name] {
				t.Errorf("%s: got %q, want %q", name, got, want[name])
			}
		}
	}
	if got := codeOf(r.calls(anonymous)["s3"](t.Context())); got != "AccessDenied" {
		t.Errorf("anonymous: %s", got)
	}
}

func TestAlarmsAndParameters(t *testing.T) {
	r := run(t, Options{})
	alarms := cloudwatch.NewFromConfig(r.config())
	if _, err := alarms.PutMetricAlarm(t.Context(), &cloudwatch.PutMetricAlarmInput{
		AlarmName: aws.String("errors"), MetricName: aws.String("5xx"), Namespace: aws.String("web"), EvaluationPeriods: aws.Int32(1),
		ComparisonOperator: cwtypes.ComparisonOperatorGreaterThanThreshold, Threshold: aws.Float64(-1.5), Period: aws.Int32(60),
	}); err != nil {
		t.Fatal(err)
	}
	r.fault(t, `{"kind":"alarm","target":"errors"}`)
	out, err := alarms.DescribeAlarms(t.Context(), &cloudwatch.DescribeAlarmsInput{AlarmNames: []string{"errors"}})
	if err != nil || out.MetricAlarms[0].StateValue != cwtypes.StateValueAlarm || *out.MetricAlarms[0].Threshold != -1.5 {
		t.Errorf("alarms %+v, %v", out, err)
	}
	_, err = alarms.SetAlarmState(t.Context(), &cloudwatch.SetAlarmStateInput{AlarmName: aws.String("x"), StateValue: cwtypes.StateValueOk, StateReason: aws.String("")})
	var missing *cwtypes.ResourceNotFound
	if !errors.As(err, &missing) {
		t.Errorf("unknown alarm: %v", err)
	}
	parameters := sdkssm.NewFromConfig(r.config())
	if _, err := parameters.PutParameter(t.Context(), &sdkssm.PutParameterInput{
		Name: aws.String("/images/web"), Value: aws.String(ec2.DefaultImage), Type: ssmtypes.ParameterTypeString,
	}); err != nil {
		t.Fatal(err)
	}
	launched, err := launch(t, r, "resolve:ssm:/images/web")
	if err != nil || *launched.ImageId != ec2.DefaultImage {
		t.Errorf("launched %+v, %v", launched, err)
	}
}

func launch(t *testing.T, r *running, image string) (types.Instance, error) {
	t.Helper()
	out, err := sdkec2.NewFromConfig(r.config()).RunInstances(t.Context(), &sdkec2.RunInstancesInput{
		ImageId: &image, MinCount: aws.Int32(1), MaxCount: aws.Int32(1),
	})
	if err != nil {
		return types.Instance{}, err
	}
	return out.Instances[0], nil
}

func TestStateSurvives(t *testing.T) {
	dir := t.TempDir()
	first := run(t, Options{Dir: dir, SecretKey: "own-secret", Account: "111122223333"})
	ctx := t.Context()
	if _, err := first.s3(first.config()).CreateBucket(ctx, &sdks3.CreateBucketInput{Bucket: aws.String("releases")}); err != nil {
		t.Fatal(err)
	}
	if _, err := sdkssm.NewFromConfig(first.config()).PutParameter(ctx, &sdkssm.PutParameterInput{
		Name: aws.String("salt"), Value: aws.String("pepper"), Type: ssmtypes.ParameterTypeSecureString,
	}); err != nil {
		t.Fatal(err)
	}
	instance, err := launch(t, first, ec2.DefaultImage)
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the state file", func() bool {
		data, _ := os.ReadFile(filepath.Join(dir, "state.json"))
		return bytes.Contains(data, []byte(*instance.InstanceId))
	})
	first.stop()
	if info, err := os.Stat(filepath.Join(dir, "state.json")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("state file %v, %v", info, err)
	}
	second := run(t, Options{Dir: dir})
	if second.Environ()["AWS_SECRET_ACCESS_KEY"] != "own-secret" {
		t.Error("the secret key was not kept")
	}
	identity, err := sts.NewFromConfig(second.config()).GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
	if err != nil || *identity.Account != "111122223333" {
		t.Errorf("identity %+v, %v", identity, err)
	}
	if _, err := second.s3(second.config()).HeadBucket(ctx, &sdks3.HeadBucketInput{Bucket: aws.String("releases")}); err != nil {
		t.Error(err)
	}
	salt, err := sdkssm.NewFromConfig(second.config()).GetParameter(ctx, &sdkssm.GetParameterInput{Name: aws.String("salt"), WithDecryption: aws.Bool(true)})
	if err != nil || *salt.Parameter.Value != "pepper" {
		t.Errorf("parameter %+v, %v", salt, err)
	}
	eventually(t, "the instance", func() bool {
		machines := second.runner.machines()
		_, running := second.ec2.Address(*instance.InstanceId)
		return running && len(machines) == 1 && machines[0].ID == *instance.InstanceId
	})
}

func TestStateThatCanNotBeRead(t *testing.T) {
	for _, text := range []string{`{"format":1`, `{"format":7}`} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "state.json"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := New(Options{Dir: dir}); err == nil || !strings.Contains(err.Error(), dir) {
			t.Errorf("%s: got %v", text, err)
		}
	}
}

func TestCloudsOfOneMachineKeepApart(t *testing.T) {
	one := run(t, Options{})
	two, err := New(Options{Runner: &idle{}, Endpoint: one.url}) // would like the same network
	if err != nil {
		t.Fatal(err)
	}
	defer two.network.Close()
	if one.network.number == two.network.number {
		t.Errorf("both have network %d", one.network.number)
	}
}
