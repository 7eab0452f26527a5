package rollout_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/wpbake/wpbake/artifact/build"
	"github.com/wpbake/wpbake/rollout/userdata"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"

	astypes "github.com/aws/aws-sdk-go-v2/service/autoscaling/types"

	awsec2 "github.com/aws/aws-sdk-go-v2/service/ec2"

	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"

	elbv2 "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"

	elbtypes "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/wpbake/wpbake/artifact"
	"github.com/wpbake/wpbake/artifact/s3store"
	"github.com/wpbake/wpbake/internal/aws"
	"github.com/wpbake/wpbake/internal/aws/awstest"
	"github.com/wpbake/wpbake/internal/localcloud"
	"github.com/wpbake/wpbake/internal/localcloud/ec2"
	"github.com/wpbake/wpbake/node"
	"github.com/wpbake/wpbake/rollout"
)

// world is a local cloud in a synctest bubble: the real SDK over an
// in-process transport, machines that boot in virtual time, and one group
// behind a target group.
type world struct {
	t       *testing.T
	ctx     context.Context
	clients *aws.Clients
	store   artifact.Store
	fleet   *fleet
	group   string

	requests *requests // what was asked of AWS and the store
}

const storeURL = "s3://releases/shop"

// newWorld is a world whose adopted group of the given size runs no release
// yet; change alters how the group is made.
func newWorld(t *testing.T, size int, change ...func(*autoscaling.CreateAutoScalingGroupInput)) *world {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	w := &world{t: t, ctx: ctx, group: "shop", fleet: &fleet{machines: map[string]*machine{}}}
	cloud, err := localcloud.New(localcloud.Options{NoServe: true, AccessKey: awstest.AccessKey, SecretKey: awstest.SecretKey, Runner: w.fleet, Prober: w.fleet})
	if err != nil {
		t.Fatal(err)
	}
	w.requests = &requests{next: cloud}
	w.clients = awstest.Clients(t, w.requests)
	w.store = s3store.New(w.clients.S3(), "releases", "shop", "")
	w.fleet.world = w
	done := make(chan error, 1)
	go func() { done <- cloud.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil && err != context.Canceled {
			t.Error(err)
		}
	})
	w.must(w.clients.S3().CreateBucket(w.ctx, &s3.CreateBucketInput{Bucket: awssdk.String("releases")}))
	w.createTemplate("shop", ec2types.InstanceTypeT3Small)
	w.createTemplate("shop-arm", ec2types.InstanceTypeT4gSmall)
	in := &autoscaling.CreateAutoScalingGroupInput{
		AutoScalingGroupName: &w.group,
		MinSize:              awssdk.Int32(int32(size)), MaxSize: awssdk.Int32(int32(size + max(1, size/5))), DesiredCapacity: awssdk.Int32(int32(size)),
		LaunchTemplate:         &astypes.LaunchTemplateSpecification{LaunchTemplateName: awssdk.String("shop"), Version: awssdk.String("1")},
		AvailabilityZones:      []string{"eu-central-1a", "eu-central-1b"},
		TargetGroupARNs:        []string{w.createBalancer()},
		HealthCheckType:        awssdk.String("ELB"),
		HealthCheckGracePeriod: awssdk.Int32(30),
		DefaultInstanceWarmup:  awssdk.Int32(20),
	}
	for _, c := range change {
		c(in)
	}
	w.must(w.clients.AutoScaling().CreateAutoScalingGroup(w.ctx, in))
	w.adopt()
	w.until("the group is in service", func() bool { return w.inService() == size })
	return w
}

func (w *world) must(_ any, err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) createTemplate(name string, kind ec2types.InstanceType) {
	w.t.Helper()
	w.must(w.clients.EC2().CreateLaunchTemplate(w.ctx, &awsec2.CreateLaunchTemplateInput{
		LaunchTemplateName: &name,
		LaunchTemplateData: &ec2types.RequestLaunchTemplateData{InstanceType: kind, ImageId: awssdk.String(ec2.DefaultImage)},
	}))
}

// createBalancer makes a load balancer and answers with its target group.
func (w *world) createBalancer() (targetGroup string) {
	w.t.Helper()
	tg, err := w.clients.ELB().CreateTargetGroup(w.ctx, &elbv2.CreateTargetGroupInput{
		Name: awssdk.String("shop"), Port: awssdk.Int32(80), Protocol: elbtypes.ProtocolEnumHttp, VpcId: awssdk.String("vpc-1"),
		HealthCheckIntervalSeconds: awssdk.Int32(10),
	})
	w.must(tg, err)
	lb, err := w.clients.ELB().CreateLoadBalancer(w.ctx, &elbv2.CreateLoadBalancerInput{Name: awssdk.String("shop")})
	w.must(lb, err)
	w.must(w.clients.ELB().CreateListener(w.ctx, &elbv2.CreateListenerInput{
		LoadBalancerArn: lb.LoadBalancers[0].LoadBalancerArn, Port: awssdk.Int32(80), Protocol: elbtypes.ProtocolEnumHttp,
		DefaultActions: []elbtypes.Action{{Type: elbtypes.ActionTypeEnumForward, TargetGroupArn: tg.TargetGroups[0].TargetGroupArn}},
	}))
	return *tg.TargetGroups[0].TargetGroupArn
}

func (w *world) adopt() {
	w.t.Helper()
	b := w.engine(rollout.Options{})
	changes, err := b.PlanAdopt(w.ctx)
	w.must(changes, err)
	w.must(nil, b.Adopt(w.ctx, changes))
}

func (w *world) inService() int {
	w.t.Helper()
	return countInService(w.state())
}

func countInService(g rollout.Group) int {
	count := 0
	for _, n := range g.Nodes {
		if n.Lifecycle == "InService" {
			count++
		}
	}
	return count
}

func (w *world) state() rollout.Group {
	w.t.Helper()
	g, err := w.clients.Cloud().Groups.Group(w.ctx, w.group)
	if err != nil {
		w.t.Fatal(err)
	}
	return g
}

func (w *world) until(what string, ok func() bool) {
	w.t.Helper()
	for range 1000 {
		if ok() {
			return
		}
		wait(w.ctx, 10*time.Second)
	}
	as, _ := w.clients.Cloud().Groups.Activities(w.ctx, w.group, time.Time{})
	w.t.Fatalf("never: %s\n%+v\n%+v", what, w.state(), as)
}

func (w *world) engine(o rollout.Options) *rollout.Engine {
	w.t.Helper()
	o.Store, o.StoreURL, o.Group = w.store, storeURL, w.group
	if o.Cloud.Groups == nil {
		o.Cloud = w.clients.Cloud()
	}
	if o.Holder.Name == "" {
		o.Holder.Name = "ci@test"
	}
	o.Events = func(e rollout.Event) { w.t.Logf("%s %s: %s", e.Time.Format("15:04:05"), e.Kind, e.Text) }
	b, err := rollout.New(o)
	if err != nil {
		w.t.Fatal(err)
	}
	return b
}

// to and back are the intents of a release and of a rollback.
func to(v artifact.Version, manifest artifact.Digest) rollout.Intent {
	return rollout.Intent{Version: v, Manifest: manifest}
}

func back(v artifact.Version) rollout.Intent { return rollout.Intent{Version: v} }

// publish builds and publishes a tree of one file that differs by version.
func (w *world) publish(v artifact.Version) artifact.Digest {
	w.t.Helper()
	tree, out := w.t.TempDir(), w.t.TempDir()
	if err := os.WriteFile(filepath.Join(tree, "index.php"), []byte("<?php // "+v), 0o644); err != nil {
		w.t.Fatal(err)
	}
	built, err := build.Build(w.ctx, build.Options{Tree: tree, Out: out, Version: v})
	if err != nil {
		w.t.Fatal(err)
	}
	if _, err := build.Publish(w.ctx, w.store, built.Dir, nil); err != nil {
		w.t.Fatal(err)
	}
	return built.Digest
}

// wait lets virtual time pass.
func wait(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// fleet is the simulated machines: the runner that boots them and the prober
// that asks for their health.
type fleet struct {
	world *world

	mu       sync.Mutex
	machines map[string]*machine         // by address
	bad      map[artifact.Version]string // versions whose nodes fail their gate, and why
	silent   map[artifact.Version]bool   // versions whose nodes never say anything
	sick     map[artifact.Version]bool   // versions whose nodes pass their gate and then fail health checks
	opcache  *node.Opcache               // what nodes say of it; nil says nothing
	launched []launch                    // all machines, in order
}

// launch is what a machine was started with.
type launch struct {
	image string
	boot  userdata.Boot
}

// behave changes how nodes of a version boot, while others are running.
func (f *fleet) behave(change func(*fleet)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change(f)
}

type machine struct {
	once sync.Once
	gone chan struct{}
	boot userdata.Boot
	up   bool
}

func (m *machine) Console() []byte            { return []byte("booting\n") }
func (m *machine) Stop(context.Context) error { return m.Kill() }
func (m *machine) Done() <-chan struct{}      { return m.gone }
func (m *machine) Kill() error {
	m.once.Do(func() { close(m.gone) })
	return nil
}

// Start boots a machine as its user data says: a minute of virtual time, a
// boot report, and the lifecycle hook.
func (f *fleet) Start(ctx context.Context, spec ec2.Machine) (ec2.Process, error) {
	m := &machine{gone: make(chan struct{})}
	m.boot, _ = userdata.ParseBoot(spec.UserData)
	f.mu.Lock()
	f.machines[spec.Address] = m
	f.launched = append(f.launched, launch{spec.ImageID, m.boot})
	f.mu.Unlock()
	go f.run(m, spec.ID)
	return m, nil
}

func (f *fleet) run(m *machine, id string) {
	ctx := f.world.ctx
	select {
	case <-m.gone:
		return
	case <-ctx.Done():
		return
	case <-time.After(time.Minute):
	}
	f.mu.Lock()
	m.up = true
	cause, bad := f.bad[m.boot.Version]
	silent := f.silent[m.boot.Version]
	opcache := f.opcache
	f.mu.Unlock()
	if silent {
		return
	}
	if m.boot.Manifest == "" {
		_, err := node.Ready(ctx, identity(id), f.world.clients.Lifecycle(), node.Action{Group: f.world.group, Hook: rollout.HookName})
		if err != nil && ctx.Err() == nil {
			f.world.t.Errorf("readying %s: %v", id, err)
		}
		return
	}
	r := node.Report{Instance: id, Group: m.boot.Group, Run: m.boot.Run, Version: m.boot.Version, Manifest: m.boot.Manifest,
		Verdict: node.Good, Opcache: opcache, Finished: time.Now().UTC()}
	result := node.Completion{Action: node.Action{Group: m.boot.Group, Hook: m.boot.Hook, Instance: id}, Result: node.Continue}
	if bad {
		r.Verdict, r.Stage, r.Cause, result.Result = node.Bad, "gate", cause, node.Abandon
	}
	b, err := json.Marshal(r)
	if err == nil {
		_, err = f.world.store.Put(ctx, node.ReportName(r.Group, r.Run, id),
			artifact.Body{ReaderAt: bytes.NewReader(b), Size: int64(len(b)), Digest: artifact.DigestOf(b)}, artifact.Condition{})
	}
	if err == nil {
		err = f.world.clients.Lifecycle().Complete(ctx, result)
	}
	if err != nil && ctx.Err() == nil {
		f.world.t.Errorf("booting %s: %v", id, err)
	}
}

// identity is the metadata of a simulated machine.
type identity string

func (i identity) Instance(context.Context) (node.Identity, error) {
	return node.Identity{Instance: string(i)}, nil
}

// Probe answers health checks in place of the machine.
func (f *fleet) Probe(_ context.Context, target, _ string) (int, error) {
	u, err := url.Parse(target)
	if err != nil {
		return 0, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	m, ok := f.machines[u.Hostname()]
	switch {
	case !ok || !m.up:
		return 0, fmt.Errorf("connecting to %s: refused", u.Host)
	case f.sick[m.boot.Version]:
		return 503, nil
	}
	return 200, nil
}
