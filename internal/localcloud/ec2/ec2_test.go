package ec2

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/smithy-go"

	"github.com/wpbake/wpbake/internal/wire"
)

// inProcess sends the SDK's requests to the service without a connection.
type inProcess struct{ service *Service }

func (p inProcess) Do(r *http.Request) (*http.Response, error) {
	recorder := httptest.NewRecorder()
	wire.Serve(recorder, r, wire.EC2{}, p.service.Actions())
	return recorder.Result(), nil
}

func clientOf(s *Service) *ec2.Client {
	return ec2.New(ec2.Options{
		Region: "eu-central-1", BaseEndpoint: aws.String("http://127.0.0.1"), HTTPClient: inProcess{s},
		Credentials: credentials.NewStaticCredentialsProvider("key", "secret", ""), Retryer: aws.NopRetryer{},
	})
}

// fleet runs machines that do nothing.
type fleet struct {
	mu       sync.Mutex
	machines map[string]*process
	refusal  error         // of Start
	boot     time.Duration // that Start takes
	stop     time.Duration // that Stop takes
}

type process struct {
	machine Machine
	stops   int
	takes   time.Duration // Stop
	off     bool          // it shut itself down in order
	once    sync.Once
	done    chan struct{}
}

func newFleet() *fleet { return &fleet{machines: map[string]*process{}} }

func (f *fleet) Start(_ context.Context, m Machine) (Process, error) {
	time.Sleep(f.boot)
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.refusal != nil {
		return nil, f.refusal
	}
	p := &process{machine: m, takes: f.stop, done: make(chan struct{})}
	f.machines[m.ID] = p
	return p, nil
}

func (f *fleet) of(id string) *process {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.machines[id]
}

func (p *process) Console() []byte { return []byte("booted " + p.machine.ID) }

func (p *process) Stop(context.Context) error {
	p.stops++
	time.Sleep(p.takes)
	return p.Kill()
}

func (p *process) Kill() error {
	p.once.Do(func() { close(p.done) })
	return nil
}

func (p *process) Done() <-chan struct{} { return p.done }

func (p *process) PoweredOff() bool { return p.off }

// cloud is a service in a bubble of virtual time.
func cloud(t *testing.T, options func(*Options), test func(t *testing.T, s *Service, f *fleet, client *ec2.Client)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		f := newFleet()
		o := Options{Region: "eu-central-1", Account: "123456789012", Network: 77, Runner: f}
		if options != nil {
			options(&o)
		}
		s := New(o)
		test(t, s, f, clientOf(s))
		s.Halt(context.Background())
		synctest.Wait()
	})
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

func wantCode(t *testing.T, err error, want string) {
	t.Helper()
	if got := codeOf(err); got != want {
		t.Errorf("got code %q, want %q (%v)", got, want, err)
	}
}

func TestEveryActionIsInTheTableOfNames(t *testing.T) {
	for name := range New(Options{}).Actions() {
		if !wire.EC2Knows(name) {
			t.Errorf("%s: add it to internal/wire/ec2names and run go generate ./internal/wire", name)
		}
	}
}

func launch(t *testing.T, client *ec2.Client, change func(*ec2.RunInstancesInput)) (types.Instance, error) {
	t.Helper()
	in := &ec2.RunInstancesInput{
		MinCount: aws.Int32(1), MaxCount: aws.Int32(1), ImageId: aws.String(DefaultImage), InstanceType: types.InstanceTypeT3Small,
		UserData: aws.String("IyEvYmluL3NoCg=="),
		TagSpecifications: []types.TagSpecification{{
			ResourceType: types.ResourceTypeInstance, Tags: []types.Tag{{Key: aws.String("Name"), Value: aws.String("shop")}},
		}},
	}
	if change != nil {
		change(in)
	}
	out, err := client.RunInstances(t.Context(), in)
	if err != nil {
		return types.Instance{}, err
	}
	return out.Instances[0], nil
}

func stateOf(t *testing.T, client *ec2.Client, id string) types.InstanceStateName {
	t.Helper()
	out, err := client.DescribeInstances(t.Context(), &ec2.DescribeInstancesInput{InstanceIds: []string{id}})
	if err != nil {
		t.Fatal(err)
	}
	return out.Reservations[0].Instances[0].State.Name
}

func TestAnInstanceLives(t *testing.T) {
	cloud(t, nil, func(t *testing.T, s *Service, f *fleet, client *ec2.Client) {
		f.boot = 10 * time.Second
		i, err := launch(t, client, nil)
		if err != nil {
			t.Fatal(err)
		}
		id := *i.InstanceId
		if got := stateOf(t, client, id); got != types.InstanceStateNamePending {
			t.Errorf("at first: %s", got)
		}
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if got := stateOf(t, client, id); got != types.InstanceStateNameRunning {
			t.Errorf("booted: %s", got)
		}
		if m := f.of(id).machine; string(m.UserData) != "#!/bin/sh\n" || m.Address != "127.77.1.1" || m.Type != "t3.small" {
			t.Errorf("machine %+v", m)
		}
		console, err := client.GetConsoleOutput(t.Context(), &ec2.GetConsoleOutputInput{InstanceId: &id})
		if err != nil || *console.Output == "" {
			t.Errorf("console %+v, %v", console, err)
		}
		status, err := client.DescribeInstanceStatus(t.Context(), &ec2.DescribeInstanceStatusInput{})
		if err != nil || len(status.InstanceStatuses) != 1 || status.InstanceStatuses[0].SystemStatus.Status != types.SummaryStatusOk {
			t.Errorf("status %+v, %v", status, err)
		}
		out, err := client.TerminateInstances(t.Context(), &ec2.TerminateInstancesInput{InstanceIds: []string{id}})
		if err != nil || out.TerminatingInstances[0].PreviousState.Name != types.InstanceStateNameRunning || *out.TerminatingInstances[0].CurrentState.Code != 32 {
			t.Errorf("terminating %+v, %v", out, err)
		}
		synctest.Wait()
		if got := stateOf(t, client, id); got != types.InstanceStateNameTerminated {
			t.Errorf("in the end: %s", got)
		}
		time.Sleep(61 * time.Minute)
		_, err = client.DescribeInstances(t.Context(), &ec2.DescribeInstancesInput{InstanceIds: []string{id}})
		wantCode(t, err, "InvalidInstanceID.NotFound")
	})
}

func TestTerminatingWhileItBoots(t *testing.T) {
	cloud(t, nil, func(t *testing.T, s *Service, f *fleet, client *ec2.Client) {
		f.boot = time.Minute
		i, err := launch(t, client, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Terminate(t.Context(), *i.InstanceId); err != nil {
			t.Fatal(err)
		}
		if got := stateOf(t, client, *i.InstanceId); got != types.InstanceStateNameShuttingDown {
			t.Errorf("got %s", got)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if got := stateOf(t, client, *i.InstanceId); got != types.InstanceStateNameTerminated {
			t.Errorf("got %s", got)
		}
		if f.of(*i.InstanceId).stops != 1 {
			t.Error("the machine was not stopped")
		}
	})
}

func TestTerminatingWhileItStops(t *testing.T) {
	cloud(t, nil, func(t *testing.T, _ *Service, f *fleet, client *ec2.Client) {
		f.stop = time.Minute
		i, err := launch(t, client, nil)
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		ids := []string{*i.InstanceId}
		if _, err := client.StopInstances(t.Context(), &ec2.StopInstancesInput{InstanceIds: ids}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if _, err := client.TerminateInstances(t.Context(), &ec2.TerminateInstancesInput{InstanceIds: ids}); err != nil {
			t.Fatal(err)
		}
		if got := stateOf(t, client, ids[0]); got != types.InstanceStateNameShuttingDown {
			t.Errorf("told to end while it stops: %s", got)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if got := stateOf(t, client, ids[0]); got != types.InstanceStateNameTerminated || f.of(ids[0]).stops != 1 {
			t.Errorf("in the end: %s after %d stops", got, f.of(ids[0]).stops)
		}
		volumes, err := client.DescribeVolumes(t.Context(), &ec2.DescribeVolumesInput{})
		if err != nil || len(volumes.Volumes) != 0 {
			t.Errorf("left %+v, %v", volumes, err)
		}
	})
}

func TestInstancesThatEndByThemselves(t *testing.T) {
	cloud(t, nil, func(t *testing.T, s *Service, f *fleet, client *ec2.Client) {
		i, err := launch(t, client, nil)
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if err := s.Kill(*i.InstanceId); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if state, _, ok := s.State(*i.InstanceId); !ok || state != "terminated" {
			t.Errorf("killed: %s", state)
		}
		f.refusal = errors.New("no disk")
		i, err = launch(t, client, nil)
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		out, err := client.DescribeInstances(t.Context(), &ec2.DescribeInstancesInput{InstanceIds: []string{*i.InstanceId}})
		if err != nil {
			t.Fatal(err)
		}
		failed := out.Reservations[0].Instances[0]
		if failed.State.Name != types.InstanceStateNameTerminated || *failed.StateReason.Code != "Server.InternalError" {
			t.Errorf("never started: %+v %+v", failed.State, failed.StateReason)
		}
	})
}

func TestStopStartReboot(t *testing.T) {
	cloud(t, nil, func(t *testing.T, s *Service, f *fleet, client *ec2.Client) {
		i, err := launch(t, client, nil)
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		ids := []string{*i.InstanceId}
		first := f.of(ids[0])
		if _, err := client.RebootInstances(t.Context(), &ec2.RebootInstancesInput{InstanceIds: ids}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if f.of(ids[0]) == first || stateOf(t, client, ids[0]) != types.InstanceStateNameRunning {
			t.Error("not rebooted")
		}
		if _, err := client.StopInstances(t.Context(), &ec2.StopInstancesInput{InstanceIds: ids}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if got := stateOf(t, client, ids[0]); got != types.InstanceStateNameStopped {
			t.Errorf("stopped: %s", got)
		}
		_, err = client.RebootInstances(t.Context(), &ec2.RebootInstancesInput{InstanceIds: ids})
		wantCode(t, err, "IncorrectInstanceState")
		if _, err := client.StartInstances(t.Context(), &ec2.StartInstancesInput{InstanceIds: ids}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if host, running := s.Address(ids[0]); !running || host != "127.77.1.1" {
			t.Errorf("started: %s %v", host, running)
		}
	})
}

func TestDescribeInstancesFiltersAndPages(t *testing.T) {
	cloud(t, nil, func(t *testing.T, s *Service, f *fleet, client *ec2.Client) {
		for n := range 12 {
			_, err := launch(t, client, func(in *ec2.RunInstancesInput) {
				if n%2 == 1 {
					in.InstanceType, in.SubnetId = types.InstanceTypeT3Large, aws.String("subnet-0000000000000000c")
				}
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		for _, test := range []struct {
			name   string
			values []string
			want   int
		}{
			{"instance-type", []string{"t3.large"}, 6}, {"instance-type", []string{"t3.*"}, 12}, {"availability-zone", []string{"eu-central-1c"}, 6},
			{"tag:Name", []string{"shop"}, 12}, {"tag:Name", []string{"other"}, 0}, {"tag-key", []string{"Nam?"}, 12}, {"tag:Absent", []string{"*"}, 0},
			{"instance-state-name", []string{"running", "pending"}, 12},
		} {
			var got int
			pages := ec2.NewDescribeInstancesPaginator(client, &ec2.DescribeInstancesInput{
				MaxResults: aws.Int32(5), Filters: []types.Filter{{Name: &test.name, Values: test.values}},
			})
			for pages.HasMorePages() {
				out, err := pages.NextPage(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				for _, r := range out.Reservations {
					got += len(r.Instances)
				}
			}
			if got != test.want {
				t.Errorf("%s=%v: got %d, want %d", test.name, test.values, got, test.want)
			}
		}
		_, err := client.DescribeInstances(t.Context(), &ec2.DescribeInstancesInput{Filters: []types.Filter{{Name: aws.String("colour"), Values: []string{"x"}}}})
		wantCode(t, err, "InvalidParameterValue")
		_, err = client.DescribeInstances(t.Context(), &ec2.DescribeInstancesInput{NextToken: aws.String("x")})
		wantCode(t, err, "InvalidNextToken")
	})
}

func TestLagHidesWhatIsNew(t *testing.T) {
	cloud(t, func(o *Options) { o.Lag = 5 * time.Second }, func(t *testing.T, s *Service, f *fleet, client *ec2.Client) {
		i, err := launch(t, client, nil)
		if err != nil {
			t.Fatal(err)
		}
		in := &ec2.DescribeInstancesInput{InstanceIds: []string{*i.InstanceId}}
		_, err = client.DescribeInstances(t.Context(), in)
		wantCode(t, err, "InvalidInstanceID.NotFound")
		if _, _, ok := s.State(*i.InstanceId); !ok {
			t.Error("Auto Scaling does not know what it launched")
		}
		time.Sleep(5 * time.Second)
		_, err = client.DescribeInstances(t.Context(), in)
		wantCode(t, err, "")
		s.SetLag(0)
		i, err = launch(t, client, nil)
		if err != nil {
			t.Fatal(err)
		}
		stateOf(t, client, *i.InstanceId)
	})
}

func TestRestoredInstancesStartAgain(t *testing.T) {
	cloud(t, nil, func(t *testing.T, s *Service, f *fleet, client *ec2.Client) {
		i, err := launch(t, client, nil)
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		s.Halt(t.Context())
		snapshot, err := s.Snapshot()
		if err != nil {
			t.Fatal(err)
		}
		for _, test := range []struct {
			network byte
			address string
		}{{77, "127.77.1.1"}, {78, "127.78.1.2"}} {
			fleet := newFleet()
			restored := New(Options{Region: "eu-central-1", Account: "123456789012", Network: test.network, Runner: fleet})
			if err := restored.Restore(snapshot); err != nil {
				t.Fatal(err)
			}
			restored.Resume(t.Context())
			if state, _, _ := restored.State(*i.InstanceId); state != "running" {
				t.Errorf("rebooting with the cloud, it is %s: its group would replace it", state)
			}
			synctest.Wait()
			if host, running := restored.Address(*i.InstanceId); !running || host != test.address {
				t.Errorf("restored at %s, running %v, want %s", host, running, test.address)
			}
			if p := fleet.of(*i.InstanceId); p == nil || string(p.machine.UserData) != "#!/bin/sh\n" {
				t.Error("not started with its user data")
			}
			restored.Halt(t.Context())
		}
		unable := New(Options{Region: "eu-central-1", Account: "123456789012", Network: 77})
		if err := unable.Restore(snapshot); err != nil {
			t.Fatal(err)
		}
		unable.Resume(t.Context())
		if state, _, _ := unable.State(*i.InstanceId); state != "terminated" {
			t.Errorf("without a runner: %s", state)
		}
	})
}

// metadataServers records which instances had a metadata service, and which still have.
type metadataServers struct {
	mu   sync.Mutex
	open []string
}

func (d *metadataServers) Serve(id, _ string) (io.Closer, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.open = append(d.open, id)
	return closer(func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.open = slices.DeleteFunc(d.open, func(other string) bool { return other == id })
	}), nil
}

type closer func()

func (c closer) Close() error { c(); return nil }

func TestMetadataIsOpenAsLongAsTheInstance(t *testing.T) {
	d := &metadataServers{}
	cloud(t, func(o *Options) { o.Metadata = d }, func(t *testing.T, s *Service, f *fleet, client *ec2.Client) {
		i, err := launch(t, client, nil)
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if len(d.open) != 1 {
			t.Errorf("running: %v", d.open)
		}
		if err := s.Terminate(t.Context(), *i.InstanceId); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if len(d.open) != 0 {
			t.Errorf("terminated: %v", d.open)
		}
	})
}
