package main

import (
	"flag"
	"fmt"
	"net"
	"os"
	"os/exec"
	"regexp"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	astypes "github.com/aws/aws-sdk-go-v2/service/autoscaling/types"
	elb "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	elbtypes "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/wpbake/wpbake/ci/terminal"
)

var liveView = flag.String("live-view", "", "the picture `FILE` that the story live_view makes anew")

// scriptTerminal runs a program whose stderr is a terminal, keeps its stdout
// in the file "answer" and the screens that it painted in "screens", one after
// another, and wants one that matches. With -live-view the last such screen is drawn:
// terminal REGEXP PROGRAM ARGS...
func scriptTerminal(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: terminal REGEXP PROGRAM [ARGS...]")
	}
	pattern, err := regexp.Compile("(?m)" + args[0])
	ts.Check(err)
	program, err := exec.LookPath(args[1])
	ts.Check(err)
	cmd := exec.Command(program, args[2:]...)
	cmd.Dir = ts.MkAbs(".")
	for _, name := range []string{"PATH", "HOME", "XDG_STATE_HOME", "WPBAKE_STORE", "WPBAKE_GROUP", "WPBAKE_POLL",
		"AWS_ENDPOINT_URL", "AWS_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_EC2_METADATA_DISABLED"} {
		cmd.Env = append(cmd.Env, name+"="+ts.Getenv(name))
	}
	cmd.Env = append(cmd.Env, "TERM=xterm-256color")
	var answer strings.Builder
	cmd.Stdout = &answer
	screens, err := terminal.Run(cmd, 104, 24)
	if len(screens) == 0 {
		ts.Fatalf("nothing was painted: %v", err)
	}
	ts.Check(os.WriteFile(ts.MkAbs("answer"), []byte(answer.String()), 0o644))
	var all strings.Builder
	var drawn *terminal.Screen
	for _, s := range screens {
		fmt.Fprintf(&all, "%s\n", s.Text())
		if pattern.MatchString(s.Text()) {
			drawn = &s
		}
	}
	ts.Check(os.WriteFile(ts.MkAbs("screens"), []byte(all.String()), 0o644))
	if err != nil {
		ts.Fatalf("%v\n%s", err, screens[len(screens)-1].Text())
	}
	if drawn == nil {
		ts.Fatalf("none of %d screens matches %q:\n%s", len(screens), args[0], all.String())
	}
	if *liveView != "" {
		svg := drawn.SVG("wpbake releases v2 to a group of three nodes", strings.Join(args[1:], " "))
		ts.Check(os.WriteFile(*liveView, svg, 0o644))
	}
}

// balanced makes a group of three nodes behind a load balancer's target group.
func (a clients) balanced(name string) {
	made, err := a.balancers.CreateTargetGroup(a.ctx, &elb.CreateTargetGroupInput{
		Name: &name, Port: aws.Int32(8080), Protocol: elbtypes.ProtocolEnumHttp,
		HealthCheckIntervalSeconds: aws.Int32(10), HealthCheckTimeoutSeconds: aws.Int32(5), HealthyThresholdCount: aws.Int32(2),
	})
	a.ts.Check(err)
	balancer, err := a.balancers.CreateLoadBalancer(a.ctx, &elb.CreateLoadBalancerInput{Name: &name})
	a.ts.Check(err)
	_, err = a.balancers.CreateListener(a.ctx, &elb.CreateListenerInput{
		LoadBalancerArn: balancer.LoadBalancers[0].LoadBalancerArn, Protocol: elbtypes.ProtocolEnumHttp, Port: aws.Int32(freePort(a.ts)),
		DefaultActions: []elbtypes.Action{{Type: elbtypes.ActionTypeEnumForward, TargetGroupArn: made.TargetGroups[0].TargetGroupArn}},
	})
	a.ts.Check(err)
	in := groupInput(name)
	in.LaunchTemplate = &astypes.LaunchTemplateSpecification{LaunchTemplateName: &name, Version: aws.String("1")}
	in.DesiredCapacity = aws.Int32(3)
	in.TargetGroupARNs = []string{aws.ToString(made.TargetGroups[0].TargetGroupArn)}
	_, err = a.groups.CreateAutoScalingGroup(a.ctx, in)
	a.ts.Check(err)
}

// freePort is one that nobody listened on a moment ago.
func freePort(ts *testscript.TestScript) int32 {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	defer l.Close()
	return int32(l.Addr().(*net.TCPAddr).Port)
}
