package autoscaling

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling/types"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/wpbake/wpbake/internal/localcloud/ec2"
	"github.com/wpbake/wpbake/internal/wire"
)

const (
	shop    = "shop"
	lt      = "lt-0000000000000001a"
	targets = "arn:aws:elasticloadbalancing:eu-central-1:123456789012:targetgroup/shop/1"
)

// world is a small cloud around the service: instances that boot and die in
// their own time, a load balancer that finds them healthy after a while and
// drains them, alarms. It obeys the clock of the test's bubble.
type world struct {
	*testing.T
	service *Service

	mu        sync.Mutex
	latest    int64
	deleted   int64 // a version
	images    map[int64]string
	instances map[string]*instance
	alarms    map[string]string
	boot      time.Duration
	drain     time.Duration
	launched  []ec2.LaunchSpec

	// Faults and helpers, by template version.
	refuse func(spec ec2.LaunchSpec) error
	sick   func(version int64) bool
}

type instance struct {
	spec       ec2.LaunchSpec
	up         time.Time
	dead       bool
	registered time.Time
	draining   time.Time
}

// inWorld runs f in a bubble with virtual time and the service's loop.
func inWorld(t *testing.T, f func(*world)) {
	t.Helper()
	inWorldAt(t, 1, f)
}

// inWorldAt is inWorld with AWS's clocks so many times faster.
func inWorldAt(t *testing.T, speed float64, f func(*world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &world{
			T: t, latest: 3, images: map[int64]string{}, instances: map[string]*instance{}, alarms: map[string]string{},
			boot: 30 * time.Second, drain: 60 * time.Second,
			refuse: func(ec2.LaunchSpec) error { return nil },
			sick:   func(int64) bool { return false },
		}
		w.service = New(Options{Region: "eu-central-1", Account: "123456789012", Instances: w, Targets: w, Alarms: w, Speed: speed})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- w.service.Run(ctx) }()
		f(w)
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func (w *world) Launch(_ context.Context, spec ec2.LaunchSpec) (string, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.launched = append(w.launched, spec)
	if err := w.refuse(spec); err != nil {
		return "", err
	}
	id := fmt.Sprintf("i-%017d", len(w.instances)+1)
	w.instances[id] = &instance{spec: spec, up: time.Now().Add(w.boot)}
	return id, nil
}

func (w *world) Terminate(_ context.Context, id string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.instances[id].dead = true
	return nil
}

func (w *world) State(id string) (state, address string, ok bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	i, ok := w.instances[id]
	switch {
	case !ok:
		return "", "", false
	case i.dead:
		return "terminated", "", true
	case time.Now().Before(i.up):
		return "pending", "", true
	}
	return "running", "127.0.0.1", true
}

func (w *world) TemplateVersion(id, name, version string) (string, string, int64, *ec2types.ResponseLaunchTemplateData, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if id != "" && id != lt || id == "" && name != shop {
		return "", "", 0, nil, wire.Errorf("InvalidLaunchTemplateId.NotFound", "The specified launch template, with template ID %s, does not exist.", id)
	}
	number, err := strconv.ParseInt(version, 10, 64)
	switch {
	case version == "$Latest":
		number = w.latest
	case version == "$Default":
		number = 1
	case err != nil || number < 1 || number > w.latest || number == w.deleted:
		return "", "", 0, nil, wire.Errorf("InvalidLaunchTemplateId.VersionNotFound", "The specified launch template version %s does not exist.", version)
	}
	image := w.images[number]
	return lt, shop, number, &ec2types.ResponseLaunchTemplateData{InstanceType: "t3.micro", ImageId: &image}, nil
}

func (w *world) Register(_, id string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.instances[id].registered = time.Now()
	return nil
}

func (w *world) Deregister(_, id string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if i := w.instances[id]; !i.registered.IsZero() {
		i.registered, i.draining = time.Time{}, time.Now().Add(w.drain)
	}
	return nil
}

func (w *world) Health(_, id string) (state, reason string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	i := w.instances[id]
	switch {
	case i == nil:
		return "unused", "Target.NotRegistered"
	case time.Now().Before(i.draining):
		return "draining", "Target.DeregistrationInProgress"
	case i.registered.IsZero():
		return "unused", "Target.NotRegistered"
	case time.Since(i.registered) < 10*time.Second:
		return "initial", "Elb.InitialHealthChecking"
	case w.sick(i.spec.Version):
		return "unhealthy", "Target.ResponseCodeMismatch"
	}
	return "healthy", ""
}

func (w *world) AlarmState(name string) (string, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	state, ok := w.alarms[name]
	return state, ok
}

// fault changes how the world behaves.
func (w *world) fault(change func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	change()
}

func (w *world) launches() []ec2.LaunchSpec {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.launched)
}

func (w *world) setAlarm(name, state string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.alarms[name] = state
}

func (w *world) kill(id string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.instances[id].dead = true
}

// version is a template reference of the world's only template.
func version(v string) *types.LaunchTemplateSpecification {
	return &types.LaunchTemplateSpecification{LaunchTemplateId: aws.String(lt), Version: aws.String(v)}
}

func to(v string) *types.DesiredConfiguration {
	return &types.DesiredConfiguration{LaunchTemplate: version(v)}
}

// group makes a group of n nodes on version 1 behind the load balancer and
// waits until all are in service.
func (w *world) group(n int32, changes ...func(*autoscaling.CreateAutoScalingGroupInput)) {
	w.Helper()
	in := &autoscaling.CreateAutoScalingGroupInput{
		AutoScalingGroupName: aws.String(shop), MinSize: aws.Int32(0), MaxSize: aws.Int32(2000), DesiredCapacity: aws.Int32(n),
		AvailabilityZones: []string{"eu-central-1a", "eu-central-1b"}, LaunchTemplate: version("1"),
		HealthCheckType: aws.String("ELB"), TargetGroupARNs: []string{targets}, DefaultInstanceWarmup: aws.Int32(60),
	}
	for _, change := range changes {
		change(in)
	}
	must(w.service.createGroup(w.Context(), in))
	w.until(10*time.Minute, "all nodes in service", func() bool {
		return len(w.inService()) == int(*in.DesiredCapacity)
	})
	w.pass(2 * time.Minute) // warm
}

// pass lets virtual time go by.
func (w *world) pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// until lets virtual time go by until it is so.
func (w *world) until(limit time.Duration, what string, so func() bool) {
	w.Helper()
	for end := time.Now().Add(limit); !so(); w.pass(time.Second) {
		if time.Now().After(end) {
			w.Fatalf("not within %s: %s\n%s", limit, what, w.picture())
		}
	}
}

func (w *world) describe() types.AutoScalingGroup {
	out := must(w.service.describeGroups(w.Context(), &autoscaling.DescribeAutoScalingGroupsInput{AutoScalingGroupNames: []string{shop}}))
	return out.AutoScalingGroups[0]
}

func (w *world) inService() []types.Instance {
	return slices.DeleteFunc(w.describe().Instances, func(i types.Instance) bool { return i.LifecycleState != types.LifecycleStateInService })
}

// versions counts the nodes in service by template version or configuration.
func (w *world) versions() map[string]int {
	out := map[string]int{}
	for _, i := range w.inService() {
		out[origin(i)]++
	}
	return out
}

// origin is the template version or the launch configuration that a node is from.
func origin(i types.Instance) string {
	if i.LaunchTemplate == nil {
		return aws.ToString(i.LaunchConfigurationName)
	}
	return *i.LaunchTemplate.Version
}

func (w *world) saved() string { return *w.describe().LaunchTemplate.Version }

func (w *world) start(p *types.RefreshPreferences, desired *types.DesiredConfiguration) string {
	w.Helper()
	out, err := w.service.startInstanceRefresh(w.Context(), &autoscaling.StartInstanceRefreshInput{
		AutoScalingGroupName: aws.String(shop), Preferences: p, DesiredConfiguration: desired,
	})
	if err != nil {
		w.Fatal(err)
	}
	return *out.InstanceRefreshId
}

func (w *world) refresh() types.InstanceRefresh {
	out := must(w.service.describeInstanceRefreshes(w.Context(), &autoscaling.DescribeInstanceRefreshesInput{AutoScalingGroupName: aws.String(shop)}))
	return out.InstanceRefreshes[0]
}

// reaches waits for a status of the newest refresh.
func (w *world) reaches(status types.InstanceRefreshStatus, limit time.Duration) types.InstanceRefresh {
	w.Helper()
	w.until(limit, "refresh "+string(status), func() bool { return w.refresh().Status == status })
	return w.refresh()
}

func (w *world) cancel(wait bool) {
	must(w.service.cancelInstanceRefresh(w.Context(), &autoscaling.CancelInstanceRefreshInput{
		AutoScalingGroupName: aws.String(shop), WaitForTransitioningInstances: aws.Bool(wait),
	}))
}

func (w *world) hook(transition string, heartbeat int32) {
	must(w.service.putLifecycleHook(w.Context(), &autoscaling.PutLifecycleHookInput{
		AutoScalingGroupName: aws.String(shop), LifecycleHookName: aws.String("boot"),
		LifecycleTransition: aws.String(transition), HeartbeatTimeout: aws.Int32(heartbeat),
	}))
}

func (w *world) complete(id, result string) error {
	_, err := w.service.completeLifecycleAction(w.Context(), &autoscaling.CompleteLifecycleActionInput{
		AutoScalingGroupName: aws.String(shop), LifecycleHookName: aws.String("boot"), InstanceId: aws.String(id), LifecycleActionResult: aws.String(result),
	})
	return err
}

// answering completes launch hooks ten seconds after each began to wait.
func (w *world) answering(result func(types.Instance) string) (stop func()) {
	ctx, cancel := context.WithCancel(w.Context())
	go func() {
		for ctx.Err() == nil {
			for _, i := range w.describe().Instances {
				if i.LifecycleState == types.LifecycleStatePendingWait {
					_ = w.complete(*i.InstanceId, result(i))
				}
			}
			select {
			case <-time.After(10 * time.Second):
			case <-ctx.Done():
			}
		}
	}()
	return cancel
}

func (w *world) activities() []types.Activity {
	return must(w.service.describeScalingActivities(w.Context(), &autoscaling.DescribeScalingActivitiesInput{AutoScalingGroupName: aws.String(shop)})).Activities
}

// picture shows the group and its refresh in a failure.
func (w *world) picture() string {
	var out string
	for _, i := range w.describe().Instances {
		out += fmt.Sprintf("  %s v%s %s %s\n", *i.InstanceId, origin(i), i.LifecycleState, *i.HealthStatus)
	}
	for _, r := range must(w.service.describeInstanceRefreshes(w.Context(), &autoscaling.DescribeInstanceRefreshesInput{AutoScalingGroupName: aws.String(shop)})).InstanceRefreshes {
		out += fmt.Sprintf("  refresh %s %d%% %d to update: %s\n", r.Status, *r.PercentageComplete, *r.InstancesToUpdate, aws.ToString(r.StatusReason))
	}
	return out
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// code is the wire code of an error.
func code(err error) string {
	if aerr := (*wire.Error)(nil); errors.As(err, &aerr) {
		return aerr.Code
	}
	return ""
}

func healthyRange(least, most int32) *types.RefreshPreferences {
	return &types.RefreshPreferences{MinHealthyPercentage: aws.Int32(least), MaxHealthyPercentage: aws.Int32(most)}
}
