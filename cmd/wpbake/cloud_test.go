package main

import (
	"cmp"
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	astypes "github.com/aws/aws-sdk-go-v2/service/autoscaling/types"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"
	elb "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	s3types "github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/wpbake/wpbake/internal/localcloud"
	"github.com/wpbake/wpbake/internal/localcloud/runner"
)

// scriptCloud serves a local cloud for one script, with AWS's clocks a hundred
// times faster, a bucket "releases" and, unless told "empty", an adopted group
// "shop" of two nodes: cloud [empty]
func scriptCloud(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) > 1 {
		ts.Fatalf("usage: cloud [empty|balanced]")
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	url := "http://" + listener.Addr().String()
	wpbake, err := exec.LookPath("wpbake")
	ts.Check(err)
	run, err := runner.New(runner.Options{Kind: runner.Plain, Path: []string{filepath.Dir(wpbake)}})
	ts.Check(err)
	speed := 100.0
	if *liveView != "" {
		speed = 20 // the clock in the picture should move
	}
	cloud, err := localcloud.New(localcloud.Options{
		Dir: ts.MkAbs("cloud"), Runner: run, Speed: speed, Endpoint: url, Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
	})
	ts.Check(err)
	server := &http.Server{Handler: cloud}
	go server.Serve(listener)
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		cloud.Run(ctx)
	}()
	ts.Defer(func() {
		stop()
		<-ended
		server.Close()
	})
	for name, value := range cloud.Environ() {
		ts.Setenv(name, value)
	}
	a := testAWS(ts)
	a.bucket("releases")
	switch {
	case len(args) == 0:
		a.template("shop")
		a.group("shop", "1")
		a.inService("shop", 2)
		a.hook("shop", "ABANDON")
	case args[0] == "balanced":
		a.template("shop")
		a.balanced("shop")
		a.inService("shop", 3)
		a.hook("shop", "ABANDON")
	}
}

// scriptGroup makes a group that is not ready for a release: it follows $Latest
// and has no hook, or is on a launch configuration: group NAME [configuration]
func scriptGroup(ts *testscript.TestScript, neg bool, args []string) {
	a := testAWS(ts)
	switch {
	case !neg && len(args) == 1:
		a.template(args[0])
		a.group(args[0], "$Latest")
	case !neg && len(args) == 2 && args[1] == "configuration":
		a.configuration(args[0])
		a.configuredGroup(args[0])
		a.inService(args[0], 2)
		a.hook(args[0], "ABANDON")
	default:
		ts.Fatalf("usage: group NAME [configuration]")
	}
}

// scriptUntouched wants a group without a trace of a release: still on its
// launch configuration and its first two nodes, no template anywhere, no
// refresh, nothing in the bucket: untouched GROUP
func scriptUntouched(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: untouched GROUP")
	}
	a := testAWS(ts)
	g, err := a.groups.DescribeAutoScalingGroups(a.ctx, &autoscaling.DescribeAutoScalingGroupsInput{AutoScalingGroupNames: args})
	ts.Check(err)
	if one := g.AutoScalingGroups[0]; aws.ToString(one.LaunchConfigurationName) != args[0] || len(one.Instances) != 2 || len(one.Tags) > 0 {
		ts.Fatalf("group %+v", one)
	}
	refreshes, err := a.groups.DescribeInstanceRefreshes(a.ctx, &autoscaling.DescribeInstanceRefreshesInput{AutoScalingGroupName: &args[0]})
	ts.Check(err)
	activities, err := a.groups.DescribeScalingActivities(a.ctx, &autoscaling.DescribeScalingActivitiesInput{AutoScalingGroupName: &args[0]})
	ts.Check(err)
	templates, err := a.ec2.DescribeLaunchTemplates(a.ctx, &ec2.DescribeLaunchTemplatesInput{})
	ts.Check(err)
	objects, err := a.s3.ListObjectsV2(a.ctx, &s3.ListObjectsV2Input{Bucket: aws.String("releases")})
	ts.Check(err)
	traces := []int{len(refreshes.InstanceRefreshes), len(activities.Activities) - 2, len(templates.LaunchTemplates), len(objects.Contents)}
	if !slices.Equal(traces, make([]int, len(traces))) {
		ts.Fatalf("refreshes, later activities, templates, objects: %v", traces)
	}
}

// scriptRefresh does what somebody else does to a group: refresh start|cancel GROUP
func scriptRefresh(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: refresh start|cancel GROUP")
	}
	a := testAWS(ts)
	var err error
	if args[0] == "cancel" {
		_, err = a.groups.CancelInstanceRefresh(a.ctx, &autoscaling.CancelInstanceRefreshInput{AutoScalingGroupName: &args[1]})
	} else {
		_, err = a.groups.StartInstanceRefresh(a.ctx, &autoscaling.StartInstanceRefreshInput{AutoScalingGroupName: &args[1]})
	}
	ts.Check(err)
}

// scriptFault makes the script's cloud fail: fault KIND [TARGET]
func scriptFault(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 1 || len(args) > 2 {
		ts.Fatalf("usage: fault KIND [TARGET]")
	}
	f := fault{Kind: args[0]}
	if len(args) > 1 {
		f.Target = args[1]
	}
	environ := map[string]string{}
	for _, name := range []string{"AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION"} {
		environ[name] = ts.Getenv(name)
	}
	_, err := localState{Environ: environ}.call(context.Background(), "/_local/fault", f)
	ts.Check(err)
}

// clients are AWS's own, pointed at the script's cloud.
type clients struct {
	ts     *testscript.TestScript
	ctx    context.Context
	s3     *s3.Client
	ec2    *ec2.Client
	groups *autoscaling.Client

	balancers *elb.Client
}

func testAWS(ts *testscript.TestScript) clients {
	ctx := context.Background()
	cfg, err := config.LoadDefaultConfig(ctx,
		config.WithRegion(ts.Getenv("AWS_REGION")), config.WithBaseEndpoint(ts.Getenv("AWS_ENDPOINT_URL")),
		config.WithCredentialsProvider(credentials.NewStaticCredentialsProvider(ts.Getenv("AWS_ACCESS_KEY_ID"), ts.Getenv("AWS_SECRET_ACCESS_KEY"), "")))
	ts.Check(err)
	return clients{
		ts: ts, ctx: ctx,
		s3:     s3.NewFromConfig(cfg, func(o *s3.Options) { o.UsePathStyle = true }),
		ec2:    ec2.NewFromConfig(cfg),
		groups: autoscaling.NewFromConfig(cfg),

		balancers: elb.NewFromConfig(cfg),
	}
}

func (a clients) bucket(name string) {
	_, err := a.s3.CreateBucket(a.ctx, &s3.CreateBucketInput{Bucket: &name, CreateBucketConfiguration: &s3types.CreateBucketConfiguration{
		LocationConstraint: s3types.BucketLocationConstraint(a.ts.Getenv("AWS_REGION")),
	}})
	a.ts.Check(err)
}

// userData starts a web server that shows the tree, and says how a node of it
// boots.
const userData = `#!/bin/sh
mkdir -p "$INSTANCE_ROOT/etc/wpbake" "$INSTANCE_ROOT/var/log"
cat > "$INSTANCE_ROOT/etc/wpbake/node.yaml" <<END
root: /srv/wordpress
gate:
  url: http://$INSTANCE_ADDRESS:8080/
  body: wp-content
  timeout: 3s
logs: [/var/log/php.log]
END
webnode >"$INSTANCE_ROOT/var/log/php.log" 2>&1 &
`

func (a clients) template(name string) {
	data := base64.StdEncoding.EncodeToString([]byte(userData))
	_, err := a.ec2.CreateLaunchTemplate(a.ctx, &ec2.CreateLaunchTemplateInput{LaunchTemplateName: &name, LaunchTemplateData: &ec2types.RequestLaunchTemplateData{
		ImageId: aws.String("ami-0123456789abcdef0"), InstanceType: ec2types.InstanceTypeT3Micro, UserData: &data,
	}})
	a.ts.Check(err)
}

func (a clients) configuration(name string) {
	data := base64.StdEncoding.EncodeToString([]byte(userData))
	_, err := a.groups.CreateLaunchConfiguration(a.ctx, &autoscaling.CreateLaunchConfigurationInput{
		LaunchConfigurationName: &name, ImageId: aws.String("ami-0123456789abcdef0"), InstanceType: aws.String("t3.micro"), UserData: &data,
	})
	a.ts.Check(err)
}

func (a clients) group(name, version string) {
	in := groupInput(name)
	in.LaunchTemplate = &astypes.LaunchTemplateSpecification{LaunchTemplateName: &name, Version: &version}
	_, err := a.groups.CreateAutoScalingGroup(a.ctx, in)
	a.ts.Check(err)
}

func (a clients) configuredGroup(name string) {
	in := groupInput(name)
	in.LaunchConfigurationName = &name
	_, err := a.groups.CreateAutoScalingGroup(a.ctx, in)
	a.ts.Check(err)
}

// groupInput is a group of two nodes that lacks only what to launch them from.
func groupInput(name string) *autoscaling.CreateAutoScalingGroupInput {
	return &autoscaling.CreateAutoScalingGroupInput{
		AutoScalingGroupName: &name, MinSize: aws.Int32(1), MaxSize: aws.Int32(4), DesiredCapacity: aws.Int32(2),
		AvailabilityZones:      []string{"eu-central-1a", "eu-central-1b"},
		HealthCheckGracePeriod: aws.Int32(60), DefaultInstanceWarmup: aws.Int32(10),
	}
}

// inService waits for nodes: with the hook in place they would wait for a boot
// that nobody told them to do.
func (a clients) inService(group string, want int) {
	deadline := time.Now().Add(2 * time.Minute)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for range tick.C {
		out, err := a.groups.DescribeAutoScalingGroups(a.ctx, &autoscaling.DescribeAutoScalingGroupsInput{AutoScalingGroupNames: []string{group}})
		a.ts.Check(err)
		ready := 0
		for _, i := range out.AutoScalingGroups[0].Instances {
			if i.LifecycleState == astypes.LifecycleStateInService {
				ready++
			}
		}
		if ready == want {
			return
		}
		if time.Now().After(deadline) {
			a.ts.Fatalf("%d of %d nodes of %q are in service", ready, want, group)
		}
	}
}

func (a clients) hook(group, result string) {
	_, err := a.groups.PutLifecycleHook(a.ctx, &autoscaling.PutLifecycleHookInput{
		AutoScalingGroupName: &group, LifecycleHookName: aws.String("wpbake-boot"), DefaultResult: &result,
		LifecycleTransition: aws.String("autoscaling:EC2_INSTANCE_LAUNCHING"), HeartbeatTimeout: aws.Int32(3600),
	})
	a.ts.Check(err)
}

// webnodeMain is the web server of a test's node: it shows index.php of the
// tree that current leads to, as nginx and PHP-FPM would, and answers 500 for a
// plugin that does not parse.
func webnodeMain() {
	root := filepath.Join(os.Getenv("INSTANCE_ROOT"), "/srv/wordpress/current/wordpress")
	address := net.JoinHostPort(cmp.Or(os.Getenv("INSTANCE_ADDRESS"), "127.0.0.1"), "8080")
	err := http.ListenAndServe(address, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		tree, err := filepath.EvalSymlinks(root)
		if err != nil {
			http.Error(w, "no release yet", http.StatusServiceUnavailable)
			return
		}
		w.Header().Set("X-Wpbake-Release", tree)
		bad := filepath.Join(tree, "wp-content/plugins/bad/bad.php")
		if _, err := os.Stat(bad); err == nil {
			fmt.Printf("PHP Parse error:  syntax error, unexpected end of file in %s on line 3\n", bad)
			http.Error(w, "", http.StatusInternalServerError)
			return
		}
		fmt.Fprintln(w, `<link rel="stylesheet" href="/wp-content/themes/shop/style.css">`)
	}))
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}
