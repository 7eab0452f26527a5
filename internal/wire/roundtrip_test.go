package wire

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go/encoding/cbor"
	"github.com/aws/smithy-go/middleware"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// sdk is one of the SDK's clients, whose operations are called by name.
type sdk struct {
	module   string
	client   any
	protocol Protocol
	skip     func(operation string) bool
}

func none(string) bool { return false }

// clients are all that the local cloud serves, sending to transport.
func clients(transport http.RoundTripper) map[string]sdk {
	config := aws.Config{
		Region:       "eu-central-1",
		BaseEndpoint: aws.String("http://127.0.0.1:1"),
		Credentials:  credentials.NewStaticCredentialsProvider("key", "secret", ""),
		HTTPClient:   &http.Client{Transport: transport},
		Retryer:      func() aws.Retryer { return aws.NopRetryer{} },
		APIOptions: []func(*middleware.Stack) error{func(s *middleware.Stack) error {
			_, _ = s.Initialize.Remove("OperationInputValidation") // absent where nothing is required
			_, _ = s.Serialize.Remove("RequestCompression")        // absent in most
			return nil
		}},
	}
	return map[string]sdk{
		"autoscaling": {"autoscaling", autoscaling.NewFromConfig(config), Query{Namespace: "http://autoscaling.amazonaws.com/doc/2011-01-01/"}, none},
		"elb":         {"elasticloadbalancingv2", elasticloadbalancingv2.NewFromConfig(config), Query{}, none},
		"sts":         {"sts", sts.NewFromConfig(config), Query{}, func(op string) bool { return op != "GetCallerIdentity" }},
		"ec2":         {"ec2", ec2.NewFromConfig(config), EC2{}, func(op string) bool { return !EC2Knows(op) }},
		"ssm":         {"ssm", ssm.NewFromConfig(config), JSON{Version: "1.1"}, func(op string) bool { return !strings.Contains(op, "Parameter") }},
		"cloudwatch":  {"cloudwatch", cloudwatch.NewFromConfig(config), CBOR{}, func(op string) bool { return !strings.Contains(op, "Alarm") }},
	}
}

func (s sdk) method(operation string) (reflect.Value, bool) {
	m := reflect.ValueOf(s.client).MethodByName(operation)
	return m, m.IsValid()
}

func (s sdk) call(operation string, input any) (any, error) {
	m, _ := s.method(operation)
	out := m.Call([]reflect.Value{reflect.ValueOf(context.Background()), reflect.ValueOf(input)})
	err, _ := out[1].Interface().(error)
	return out[0].Interface(), err
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// TestRequestsComeBackAsTheyWere decodes each of the SDK's own examples of a
// request, sends the decoded input with the SDK, and compares the two bodies.
func TestRequestsComeBackAsTheyWere(t *testing.T) {
	var sent []byte
	stop := errors.New("seen")
	services := clients(roundTripper(func(r *http.Request) (*http.Response, error) {
		sent, _ = io.ReadAll(r.Body)
		return nil, stop
	}))
	for name, service := range services {
		examples, err := filepath.Glob(filepath.Join(moduleDir(t, service.module), "request_snapshot", "*.snap"))
		if err != nil || len(examples) == 0 {
			t.Fatalf("finding examples of %s: %v", name, err)
		}
		for _, file := range examples {
			operation, _, _ := strings.Cut(filepath.Base(file), ".")
			if service.skip(operation) {
				continue
			}
			t.Run(name+"/"+operation, func(t *testing.T) {
				request, body := readExample(t, file)
				if holdsMap(body) {
					t.Log("holds a map, which no action of the local cloud takes")
					return
				}
				decoded, err := service.protocol.Request(request)
				if err != nil {
					t.Fatal(err)
				}
				if decoded.Action != operation {
					t.Fatalf("action %q, want %q", decoded.Action, operation)
				}
				m, _ := service.method(operation)
				input := reflect.New(m.Type().In(1).Elem()).Interface()
				if err := decoded.Fill(input); err != nil {
					t.Fatal(err)
				}
				if _, err := service.call(operation, input); !errors.Is(err, stop) {
					t.Fatal(err)
				}
				if diff := cmp.Diff(readable(t, service.protocol, body), readable(t, service.protocol, sent)); diff != "" {
					t.Errorf("sent again it differs (-example +again):\n%s", diff)
				}
			})
		}
	}
}

func holdsMap(body []byte) bool { return bytes.Contains(body, []byte(".entry.1.key=")) }

func moduleDir(t *testing.T, service string) string {
	t.Helper()
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/aws/aws-sdk-go-v2/service/"+service).Output()
	if err != nil {
		t.Fatalf("finding module of %s: %v", service, err)
	}
	return strings.TrimSpace(string(out))
}

// readExample reads "METHOD PATH", headers and body, parted by empty lines.
func readExample(t *testing.T, file string) (*http.Request, []byte) {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	parts := bytes.SplitN(data, []byte("\n\n"), 3)
	method, path, _ := strings.Cut(string(parts[0]), " ")
	request := httptest.NewRequest(method, path, bytes.NewReader(parts[2]))
	for line := range strings.Lines(string(parts[1])) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
		request.Header.Set(key, value)
	}
	return request, parts[2]
}

func readable(t *testing.T, p Protocol, body []byte) any {
	t.Helper()
	switch p.(type) {
	case Query, EC2:
		values, err := url.ParseQuery(string(body))
		if err != nil {
			t.Fatal(err)
		}
		values.Del("DestinationRegion") // of CopySnapshot: only the SDK itself can set it
		return values
	case CBOR:
		value, err := cbor.Decode(body)
		if err != nil {
			t.Fatal(err)
		}
		document := documentFromCBOR(value).(map[string]any)
		for _, union := range []string{"EvaluationCriteria", "EvaluationWindow"} { // no alarm here is made of PromQL
			delete(document, union)
		}
		return document
	}
	return string(body)
}

// TestAnswersArriveAsTheyWereGiven fills every output of every operation,
// answers with it, and compares what the SDK made of it.
func TestAnswersArriveAsTheyWereGiven(t *testing.T) {
	var given Answer
	var protocol Protocol
	services := clients(roundTripper(func(r *http.Request) (*http.Response, error) {
		recorder := httptest.NewRecorder()
		protocol.WriteOutput(recorder, given)
		return recorder.Result(), nil
	}))
	for name, service := range services {
		protocol = service.protocol
		clientType := reflect.TypeOf(service.client)
		for i := range clientType.NumMethod() {
			operation := clientType.Method(i).Name
			m, _ := service.method(operation)
			if operation == "Options" || service.skip(operation) {
				continue
			}
			for _, full := range []bool{true, false} {
				output := reflect.New(m.Type().Out(0).Elem())
				if full {
					example(output.Elem(), 0)
				}
				given = Answer{Action: operation, Output: output.Interface(), RequestID: "id"}
				got, err := service.call(operation, reflect.New(m.Type().In(1).Elem()).Interface())
				if err != nil {
					t.Errorf("%s/%s: %v", name, operation, err)
					continue
				}
				if diff := cmp.Diff(output.Interface(), got, comparison()...); diff != "" {
					t.Errorf("%s/%s (-given +got):\n%s", name, operation, diff)
				}
			}
		}
	}
}

func comparison() []cmp.Option {
	return []cmp.Option{
		cmpopts.EquateEmpty(),
		cmpopts.IgnoreTypes(middleware.Metadata{}),
		cmp.FilterPath(func(p cmp.Path) bool {
			field, ok := p.Last().(cmp.StructField)
			return ok && field.Name() == "noSmithyDocumentSerde"
		}, cmp.Ignore()),
	}
}

// example puts something into every member that the XML protocols carry.
func example(v reflect.Value, depth int) {
	switch v.Kind() {
	case reflect.Pointer:
		if depth < 12 {
			v.Set(reflect.New(v.Type().Elem()))
			example(v.Elem(), depth+1)
		}
	case reflect.Struct:
		if v.Type() == timeType() {
			v.Set(reflect.ValueOf(time.Date(2026, 11, 23, 20, 15, 1, 250e6, time.UTC)))
			return
		}
		for i := range v.NumField() {
			if isMember(v.Type().Field(i)) {
				example(v.Field(i), depth+1)
			}
		}
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			v.SetBytes([]byte{0, 1, 254, 255})
		} else if depth < 12 {
			v.Set(reflect.MakeSlice(v.Type(), 2, 2))
			example(v.Index(0), depth+1)
			example(v.Index(1), depth+1)
		}
	case reflect.String:
		v.SetString(`a <b> & "c"` + " \u00e9")
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int32, reflect.Int64:
		v.SetInt(42)
	case reflect.Float32, reflect.Float64:
		v.SetFloat(2.5)
	}
}
