package localcloud

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	sdkec2 "github.com/aws/aws-sdk-go-v2/service/ec2"
	sdks3 "github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/wpbake/wpbake/internal/localcloud/control"
	"github.com/wpbake/wpbake/internal/localcloud/ec2"
	"github.com/wpbake/wpbake/internal/localcloud/imds"
	"github.com/wpbake/wpbake/internal/localcloud/runner"
	"github.com/wpbake/wpbake/internal/tier"
	"github.com/wpbake/wpbake/internal/wire"
)

const nobody = 65534

// askers is user data that asks its instance's metadata service in three ways,
// each for a session token, and says how it was answered.
const askers = `#!/bin/sh
cat >"$INSTANCE_ROOT/tmp/ask" <<'END'
curl -s -o /dev/null -w "$1 %{http_code}\n" -X PUT -H 'X-Aws-Ec2-Metadata-Token-Ttl-Seconds: 60' "$AWS_EC2_METADATA_SERVICE_ENDPOINT/latest/api/token"
END
echo "root=$INSTANCE_ROOT"
sh "$INSTANCE_ROOT/tmp/ask" child
setsid sh "$INSTANCE_ROOT/tmp/ask" session
(setsid sh -c 'sh "$INSTANCE_ROOT/tmp/ask" daemon' &) >"$INSTANCE_ROOT/tmp/daemon" 2>&1
while ! [ -s "$INSTANCE_ROOT/tmp/daemon" ]; do sleep 0.1; done
cat "$INSTANCE_ROOT/tmp/daemon"
echo asked
exec sleep 600
`

// real is a cloud whose instances are processes, with one that has asked its
// metadata service.
func real(t *testing.T, kind string) (r *running, instance, console string) {
	t.Helper()
	tier.Program(t, "curl")
	machines, err := runner.New(runner.Options{Kind: kind, Grace: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for at := dir; at != "/" && at != os.TempDir(); at = filepath.Dir(at) {
		if err := os.Chmod(at, 0o755); err != nil { // what keeps strangers out is not the way there
			t.Fatal(err)
		}
	}
	r = run(t, Options{Dir: dir, Runner: machines})
	client := sdkec2.NewFromConfig(r.config())
	out, err := client.RunInstances(t.Context(), &sdkec2.RunInstancesInput{
		ImageId: aws.String(ec2.DefaultImage), MinCount: aws.Int32(1), MaxCount: aws.Int32(1), UserData: aws.String(encoded(askers)),
	})
	if err != nil {
		t.Fatal(err)
	}
	instance = *out.Instances[0].InstanceId
	eventually(t, "the instance's questions", func() bool {
		out, err := client.GetConsoleOutput(t.Context(), &sdkec2.GetConsoleOutputInput{InstanceId: &instance})
		if err != nil {
			return false
		}
		console = decoded(t, aws.ToString(out.Output))
		return strings.Contains(console, "\nasked\n")
	})
	return r, instance, console
}

// metadataOf is where an instance finds its metadata.
func (r *running) metadataOf(t *testing.T, instance string) string {
	t.Helper()
	address, ok := r.ec2.Address(instance)
	if !ok {
		t.Fatalf("%s has no address", instance)
	}
	return fmt.Sprintf("http://%s:%d", address, imds.Port)
}

// curl runs curl as a user and returns the answer's status. The environment is
// env alone.
func curl(t *testing.T, uid uint32, env []string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), tier.Program(t, "curl"), append([]string{"-q", "-s", "-o", "/dev/null", "-w", "%{http_code}", "--noproxy", "*"}, args...)...)
	cmd.Dir, cmd.Env = "/", env
	if int(uid) != os.Geteuid() {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: nobody}}
	}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("curl %q: %v, %s", args, err, out)
	}
	return string(out)
}

// TestMetadataIsForTheInstancesProcesses asks from inside, from this machine,
// and from another instance.
func TestMetadataIsForTheInstancesProcesses(t *testing.T) {
	tier.Test(t)
	for _, kind := range []string{runner.Plain, runner.Overlay} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			if kind == runner.Overlay {
				tier.Root(t)
			}
			r, instance, console := real(t, kind)
			for _, want := range []string{"child 200", "session 200", "daemon 200"} {
				if !strings.Contains(console, want+"\n") {
					t.Errorf("no %q in the console:\n%s", want, console)
				}
			}
			token := []string{"-X", "PUT", "-H", "X-Aws-Ec2-Metadata-Token-Ttl-Seconds: 60", r.metadataOf(t, instance) + "/latest/api/token"}
			if got := curl(t, uint32(os.Geteuid()), nil, token...); got != "403" {
				t.Errorf("a process of this machine: %s", got)
			}
			other, err := launch(t, r, ec2.DefaultImage)
			if err != nil {
				t.Fatal(err)
			}
			var inside func(context.Context, string) string
			eventually(t, "the other instance", func() bool {
				exec, err := r.ec2.Executor(*other.InstanceId)
				inside = func(ctx context.Context, script string) string {
					var said strings.Builder
					if code, err := exec.Exec(ctx, script, &said, &said); err != nil || code != 0 {
						t.Errorf("%s: %d, %v", script, code, err)
					}
					return said.String()
				}
				return err == nil
			})
			const ask = `curl -q -s -o /dev/null -w '%{http_code}' -X PUT -H 'X-Aws-Ec2-Metadata-Token-Ttl-Seconds: 60' `
			if got := inside(t.Context(), ask+token[len(token)-1]); got != "403" {
				t.Errorf("another instance: %s", got)
			}
			if got := inside(t.Context(), ask+`"$AWS_EC2_METADATA_SERVICE_ENDPOINT/latest/api/token"`); got != "200" {
				t.Errorf("a command in its own instance: %s", got)
			}
		})
	}
}

// TestAnotherUserRunsNothing is what the user nobody of this machine can do.
func TestAnotherUserRunsNothing(t *testing.T) {
	tier.Test(t)
	tier.Root(t)
	t.Parallel()
	r, instance, console := real(t, runner.Plain)
	_, root, _ := strings.Cut(console, "root=")
	root, _, _ = strings.Cut(root, "\n")
	form := []string{"-d", "Action=RunInstances&Version=2016-11-15&ImageId=" + ec2.DefaultImage + "&MinCount=1&MaxCount=1"}
	guessed := []string{"--aws-sigv4", "aws:amz:eu-central-1:ec2", "--user", "wpbake:wpbake-local-secret"}
	token := []string{"-X", "PUT", "-H", "X-Aws-Ec2-Metadata-Token-Ttl-Seconds: 60", r.metadataOf(t, instance) + "/latest/api/token"}
	for _, test := range []struct {
		name string
		env  []string
		args []string
	}{
		{"a form", nil, append(form, r.url)},
		{"a key that clouds once had", nil, slices.Concat(guessed, form, []string{r.url})},
		{"this cloud's access key, another secret", nil, slices.Concat(guessed[:3], []string{r.Environ()["AWS_ACCESS_KEY_ID"] + ":wrong"}, form, []string{r.url})},
		{"buckets", nil, []string{r.url}},
		{"status", nil, []string{r.url + "/_local/status"}},
		{"a fault", nil, []string{"-d", `{"kind":"kill","target":"` + instance + `"}`, r.url + "/_local/fault"}},
		{"metadata", nil, token},
		{"metadata, in the instance's clothes", []string{"INSTANCE_ROOT=" + root, "INSTANCE_ID=" + instance}, token},
		{"metadata without a token", nil, []string{r.metadataOf(t, instance) + "/latest/meta-data/iam/security-credentials/"}},
	} {
		if got := curl(t, nobody, test.env, test.args...); got != "403" {
			t.Errorf("%s: %s", test.name, got)
		}
	}
	cat := exec.CommandContext(t.Context(), "cat", filepath.Join(r.options.Dir, "state.json"))
	cat.Dir, cat.SysProcAttr = "/", &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	if out, err := cat.CombinedOutput(); err == nil || !strings.Contains(string(out), "Permission denied") {
		t.Errorf("nobody reads the state: %s, %v", out, err)
	}
	r.untouched(t, instance)
}

// untouched wants only the given instances, all running, and no fault.
func (r *running) untouched(t *testing.T, instances ...string) {
	t.Helper()
	status, err := r.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, i := range status.Instances {
		got = append(got, i.ID)
		if i.State != "running" {
			t.Errorf("instance %s is %s", i.ID, i.State)
		}
	}
	if slices.Sort(got); !slices.Equal(got, instances) || len(status.Faults) > 0 {
		t.Errorf("instances %q, want %q; faults %+v", got, instances, status.Faults)
	}
}

// TestRolesRunNothing calls each operation of each service with the key of an
// instance's role.
func TestRolesRunNothing(t *testing.T) {
	r := run(t, Options{})
	role := r.keys.issue("i-1", time.Now())
	ctx := wire.WithSignature(t.Context(), &wire.Signature{AccessKey: role.AccessKey})
	var may []string
	for service, e := range r.endpoints {
		for name, action := range e.actions {
			_, err := action.Call(ctx, action.NewInput())
			switch codeOfWire(err) {
			case "UnauthorizedOperation", "AccessDenied", "AccessDeniedException":
			default:
				may = append(may, service+":"+name)
			}
		}
	}
	slices.Sort(may)
	want := []string{
		"autoscaling:CompleteLifecycleAction", "autoscaling:RecordLifecycleActionHeartbeat",
		"ssm:GetParameter", "ssm:GetParameters", "ssm:GetParametersByPath", "sts:GetCallerIdentity",
	}
	if !slices.Equal(may, want) {
		t.Errorf("roles may %q, want %q", may, want)
	}
	r.untouched(t)
}

func codeOfWire(err error) string {
	code, _, _ := strings.Cut(fmt.Sprint(err), ":")
	return code
}

// TestRolesInS3 reads, writes and lists with a role's key, and changes nothing
// else.
func TestRolesInS3(t *testing.T) {
	r := run(t, Options{})
	ctx, bucket, key := t.Context(), aws.String("releases"), aws.String("rollouts/shop/nodes/i-1.json")
	if _, err := r.s3(r.config()).CreateBucket(ctx, &sdks3.CreateBucketInput{Bucket: bucket}); err != nil {
		t.Fatal(err)
	}
	issued := r.keys.issue("i-1", time.Now())
	config := r.config()
	config.Credentials = credentials.NewStaticCredentialsProvider(issued.AccessKey, issued.SecretKey, issued.Token)
	s3 := r.s3(config)
	_, put := s3.PutObject(ctx, &sdks3.PutObjectInput{Bucket: bucket, Key: key, Body: strings.NewReader("{}")})
	_, get := s3.GetObject(ctx, &sdks3.GetObjectInput{Bucket: bucket, Key: key})
	_, list := s3.ListObjectsV2(ctx, &sdks3.ListObjectsV2Input{Bucket: bucket})
	for name, err := range map[string]error{"put": put, "get": get, "list": list} {
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, remove := s3.DeleteObject(ctx, &sdks3.DeleteObjectInput{Bucket: bucket, Key: key})
	_, create := s3.CreateBucket(ctx, &sdks3.CreateBucketInput{Bucket: aws.String("other")})
	_, policy := s3.PutBucketPolicy(ctx, &sdks3.PutBucketPolicyInput{Bucket: bucket, Policy: aws.String("{}")})
	_, tag := s3.DeleteObjectTagging(ctx, &sdks3.DeleteObjectTaggingInput{Bucket: bucket, Key: key})
	for name, err := range map[string]error{"delete": remove, "create": create, "policy": policy, "tags": tag} {
		if codeOf(err) != "AccessDenied" {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestControlWantsTheAccountsKey asks the cloud about itself with all others.
func TestControlWantsTheAccountsKey(t *testing.T) {
	r := run(t, Options{})
	issued := r.keys.issue("i-1", time.Now())
	role, wrong := r.Environ(), r.Environ()
	role["AWS_ACCESS_KEY_ID"], role["AWS_SECRET_ACCESS_KEY"] = issued.AccessKey, issued.SecretKey
	wrong["AWS_SECRET_ACCESS_KEY"] = "wrong"
	for name, environ := range map[string]map[string]string{"a role": role, "a wrong secret": wrong} {
		for path, body := range map[string][]byte{"/_local/status": nil, "/_local/fault": []byte(`{"kind":"throttle"}`)} {
			request, err := control.Request(t.Context(), environ, path, body)
			if err != nil {
				t.Fatal(err)
			}
			if name == "a role" {
				request.Header.Set("X-Amz-Security-Token", issued.Token)
			}
			want := map[string]string{"a role": "not with this key", "a wrong secret": "SignatureDoesNotMatch"}[name]
			if status, text := send(t, request); status != http.StatusForbidden || !strings.Contains(text, want) {
				t.Errorf("%s, %s: %d %s", name, path, status, text)
			}
		}
	}
	// A signature for a service is none for the control of the cloud.
	request, err := control.Request(t.Context(), r.Environ(), "/_local/status", nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", strings.ReplaceAll(request.Header.Get("Authorization"), "/local/", "/ec2/"))
	if status, _ := send(t, request); status != http.StatusForbidden {
		t.Errorf("signed for another service: %d", status)
	}
	request.Header.Del("Authorization")
	if status, _ := send(t, request); status != http.StatusForbidden {
		t.Errorf("not signed: %d", status)
	}
	r.untouched(t)
}

// TestSecretsAreRandom is that no cloud knows another's, and that one stays
// with its directory.
func TestSecretsAreRandom(t *testing.T) {
	one, two := run(t, Options{Dir: t.TempDir()}), run(t, Options{})
	a, b := one.Environ(), two.Environ()
	for _, name := range []string{"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"} {
		if a[name] == b[name] || len(a[name]) < 20 {
			t.Errorf("%s: %q and %q", name, a[name], b[name])
		}
	}
	one.stop()
	again := run(t, Options{Dir: one.options.Dir}).Environ()
	if again["AWS_ACCESS_KEY_ID"] != a["AWS_ACCESS_KEY_ID"] || again["AWS_SECRET_ACCESS_KEY"] != a["AWS_SECRET_ACCESS_KEY"] {
		t.Error("another key after a restart")
	}
}

func TestADirectoryOfEverybodyIsRefused(t *testing.T) {
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	if _, err := New(Options{Dir: dir}); err == nil || !strings.Contains(err.Error(), dir) {
		t.Errorf("got %v", err)
	}
}

func encoded(text string) string { return base64.StdEncoding.EncodeToString([]byte(text)) }

func decoded(t *testing.T, text string) string {
	t.Helper()
	plain, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return string(plain)
}
