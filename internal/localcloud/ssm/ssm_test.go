package ssm

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/ssm/types"
	"github.com/aws/smithy-go"
	"github.com/google/go-cmp/cmp"

	"github.com/wpbake/wpbake/internal/wire"
)

type inProcess struct{ service *Service }

func (p inProcess) Do(r *http.Request) (*http.Response, error) {
	recorder := httptest.NewRecorder()
	wire.Serve(recorder, r, wire.JSON{Version: "1.1"}, p.service.Actions())
	return recorder.Result(), nil
}

func store(t *testing.T) (*Service, *ssm.Client) {
	t.Helper()
	s := New(Options{Region: "eu-central-1", Account: "123456789012"})
	return s, ssm.New(ssm.Options{
		Region: "eu-central-1", BaseEndpoint: aws.String("http://127.0.0.1"), HTTPClient: inProcess{s},
		Credentials: credentials.NewStaticCredentialsProvider("key", "secret", ""), Retryer: aws.NopRetryer{},
	})
}

func put(t *testing.T, client *ssm.Client, name, value string, change func(*ssm.PutParameterInput)) (*ssm.PutParameterOutput, error) {
	t.Helper()
	in := &ssm.PutParameterInput{Name: &name, Value: &value, Type: types.ParameterTypeString}
	if change != nil {
		change(in)
	}
	return client.PutParameter(t.Context(), in)
}

func overwrite(in *ssm.PutParameterInput) { in.Overwrite = aws.Bool(true) }

func wantCode(t *testing.T, err error, want string) {
	t.Helper()
	var known smithy.APIError
	got := ""
	if errors.As(err, &known) {
		got = known.ErrorCode()
	}
	if got != want || got == "" && err != nil {
		t.Errorf("got code %q, want %q (%v)", got, want, err)
	}
}

func TestVersions(t *testing.T) {
	s, client := store(t)
	for n := range 101 {
		out, err := put(t, client, "/shop/db", fmt.Sprint(n+1), overwrite)
		if err != nil || out.Version != int64(n+1) {
			t.Fatalf("put %+v, %v", out, err)
		}
	}
	for name, want := range map[string]string{
		"/shop/db": "101", "/shop/db:2": "2", "arn:aws:ssm:eu-central-1:123456789012:parameter/shop/db": "101",
	} {
		out, err := client.GetParameter(t.Context(), &ssm.GetParameterInput{Name: &name})
		if err != nil || *out.Parameter.Value != want || *out.Parameter.Name != "/shop/db" {
			t.Errorf("%s: %+v, %v", name, out, err)
		}
	}
	_, err := client.GetParameter(t.Context(), &ssm.GetParameterInput{Name: aws.String("/shop/db:1")})
	wantCode(t, err, "ParameterVersionNotFound")
	_, err = client.GetParameter(t.Context(), &ssm.GetParameterInput{Name: aws.String("/shop/other")})
	var missing *types.ParameterNotFound
	if !errors.As(err, &missing) {
		t.Errorf("got %v", err)
	}
	snapshot, err := s.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	restored, other := store(t)
	if err := restored.Restore(snapshot); err != nil {
		t.Fatal(err)
	}
	out, err := other.GetParameter(t.Context(), &ssm.GetParameterInput{Name: aws.String("/shop/db")})
	if err != nil || out.Parameter.Version != 101 {
		t.Errorf("restored %+v, %v", out, err)
	}
}

func TestWhatCanNotBePut(t *testing.T) {
	_, client := store(t)
	if _, err := put(t, client, "/shop/db", "x", nil); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name, value string
		change      func(*ssm.PutParameterInput)
		want        string
	}{
		{"/shop/db", "y", nil, "ParameterAlreadyExists"},
		{"/shop/db", "y", func(in *ssm.PutParameterInput) { overwrite(in); in.Type = types.ParameterTypeSecureString }, "HierarchyTypeMismatchException"},
		{"/shop/new", "y", func(in *ssm.PutParameterInput) { in.Type = "" }, "ValidationException"},
		{"/shop/new", "y", func(in *ssm.PutParameterInput) { in.Type = "Number" }, "UnsupportedParameterType"},
		{"/shop/new", "{{other}}", nil, "ValidationException"},
		{"/shop/new", "", nil, "ValidationException"},
		{"/shop/new", strings.Repeat("x", maxStandard+1), nil, "ValidationException"},
		{"/shop/large", strings.Repeat("x", maxStandard+1), func(in *ssm.PutParameterInput) { in.Tier = types.ParameterTierAdvanced }, ""},
		{"/shop/larger", strings.Repeat("x", maxStandard+1), func(in *ssm.PutParameterInput) { in.Tier = types.ParameterTierIntelligentTiering }, ""},
		{"/aws/new", "y", nil, "ValidationException"},
		{"ssmthing", "y", nil, "ValidationException"},
		{"shop/new", "y", nil, "ValidationException"},
		{"/shop/n w", "y", nil, "ValidationException"},
		{strings.Repeat("/a", 16), "y", nil, "HierarchyLevelLimitExceededException"},
		{"plain", "y", nil, ""},
	} {
		_, err := put(t, client, test.name, test.value, test.change)
		wantCode(t, err, test.want)
	}
}

func TestByPath(t *testing.T) {
	_, client := store(t)
	for n := range 12 {
		if _, err := put(t, client, fmt.Sprintf("/shop/production/k%02d", n), "v", nil); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"/shop/production/deep/er", "/shop/productions/x", "/shop/x"} {
		if _, err := put(t, client, name, "v", nil); err != nil {
			t.Fatal(err)
		}
	}
	for _, test := range []struct {
		path      string
		recursive bool
		want      int
	}{{"/shop/production", false, 12}, {"/shop/production/", false, 12}, {"/shop/production", true, 13}, {"/", true, 15}, {"/", false, 0}, {"/none", true, 0}} {
		var names []string
		pages := ssm.NewGetParametersByPathPaginator(client, &ssm.GetParametersByPathInput{Path: &test.path, Recursive: &test.recursive})
		for pages.HasMorePages() {
			out, err := pages.NextPage(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if len(out.Parameters) > pageSize {
				t.Errorf("a page of %d", len(out.Parameters))
			}
			for _, p := range out.Parameters {
				names = append(names, *p.Name)
			}
		}
		if len(names) != test.want {
			t.Errorf("%s recursive %v: %v", test.path, test.recursive, names)
		}
	}
	_, err := client.GetParametersByPath(t.Context(), &ssm.GetParametersByPathInput{Path: aws.String("shop")})
	wantCode(t, err, "ValidationException")
	_, err = client.GetParametersByPath(t.Context(), &ssm.GetParametersByPathInput{Path: aws.String("/"), MaxResults: aws.Int32(11)})
	wantCode(t, err, "ValidationException")
}

func TestSecretsAndDeletion(t *testing.T) {
	_, client := store(t)
	secure := func(in *ssm.PutParameterInput) { in.Type = types.ParameterTypeSecureString }
	if _, err := put(t, client, "/shop/salt", "pepper", secure); err != nil {
		t.Fatal(err)
	}
	for decrypted, want := range map[bool]bool{true: true, false: false} {
		out, err := client.GetParameter(t.Context(), &ssm.GetParameterInput{Name: aws.String("/shop/salt"), WithDecryption: &decrypted})
		if err != nil || (*out.Parameter.Value == "pepper") != want {
			t.Errorf("decrypted %v: %+v, %v", decrypted, out, err)
		}
	}
	many, err := client.GetParameters(t.Context(), &ssm.GetParametersInput{Names: []string{"/shop/salt:1", "/shop/none"}, WithDecryption: aws.Bool(true)})
	if err != nil || len(many.Parameters) != 1 || *many.Parameters[0].Selector != ":1" || !cmp.Equal(many.InvalidParameters, []string{"/shop/none"}) {
		t.Errorf("many %+v, %v", many, err)
	}
	if _, err := client.DeleteParameter(t.Context(), &ssm.DeleteParameterInput{Name: aws.String("/shop/salt")}); err != nil {
		t.Fatal(err)
	}
	_, err = client.DeleteParameter(t.Context(), &ssm.DeleteParameterInput{Name: aws.String("/shop/salt")})
	wantCode(t, err, "ParameterNotFound")
}
