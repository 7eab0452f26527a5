package autoscaling_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling/types"
	ec2api "github.com/aws/aws-sdk-go-v2/service/ec2"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"
	elbv2 "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	elbtypes "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"

	"github.com/wpbake/wpbake/internal/localcloud"
	"github.com/wpbake/wpbake/internal/localcloud/ec2"
)

// sitePort is where instances serve; each has its own address.
const sitePort = 28089

// sites runs machines that serve their user data over HTTP.
type sites struct{}

type siteProcess struct {
	server *http.Server
	done   chan struct{}
	once   sync.Once
}

func (sites) Start(_ context.Context, m ec2.Machine) (ec2.Process, error) {
	socket, err := net.Listen("tcp", net.JoinHostPort(m.Address, strconv.Itoa(sitePort)))
	if err != nil {
		return nil, err
	}
	p := &siteProcess{done: make(chan struct{})}
	p.server = &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(m.UserData) })}
	go func() { _ = p.server.Serve(socket) }()
	return p, nil
}

func (p *siteProcess) Console() []byte            { return nil }
func (p *siteProcess) Stop(context.Context) error { return p.Kill() }
func (p *siteProcess) Done() <-chan struct{}      { return p.done }
func (p *siteProcess) Kill() error {
	p.once.Do(func() { _ = p.server.Close(); close(p.done) })
	return nil
}

// Under load a refresh that launches first and drains loses no request, in
// real time and over real sockets.
func TestRefreshUnderTraffic(t *testing.T) {
	cloud, err := localcloud.New(localcloud.Options{Runner: sites{}, Speed: 60})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- cloud.Run(ctx) }()
	defer func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()
	c := newClients(t, cloud)
	url := c.serveSite()
	c.wait("two old nodes", func() bool { return c.inService()["1"] == 2 && ask(url) == "old" })

	var asked, failed atomic.Int64
	loading, stop := context.WithCancel(ctx)
	var load sync.WaitGroup
	for range 3 {
		load.Go(func() {
			for loading.Err() == nil {
				if body := ask(url); body != "old" && body != "new" {
					failed.Add(1)
				}
				asked.Add(1)
			}
		})
	}
	must(c.scaling.StartInstanceRefresh(ctx, &autoscaling.StartInstanceRefreshInput{
		AutoScalingGroupName: aws.String("shop"),
		DesiredConfiguration: &types.DesiredConfiguration{LaunchTemplate: &types.LaunchTemplateSpecification{LaunchTemplateName: aws.String("shop"), Version: aws.String("2")}},
		Preferences:          &types.RefreshPreferences{MinHealthyPercentage: aws.Int32(100), MaxHealthyPercentage: aws.Int32(200)},
	}))
	c.wait("refresh successful", func() bool { return c.refresh().Status == types.InstanceRefreshStatusSuccessful })
	stop()
	load.Wait()
	if asked.Load() < 100 || failed.Load() > 0 || ask(url) != "new" {
		t.Errorf("%d of %d requests failed; the site says %q", failed.Load(), asked.Load(), ask(url))
	}
}

// serveSite makes a group of two nodes behind a listener on a free port.
func (c *clients) serveSite() (url string) {
	ctx := c.Context()
	image := must(c.compute.DescribeImages(ctx, &ec2api.DescribeImagesInput{})).Images[0].ImageId
	data := func(site string) *ec2types.RequestLaunchTemplateData {
		return &ec2types.RequestLaunchTemplateData{ImageId: image, InstanceType: ec2types.InstanceTypeT3Micro, UserData: aws.String(site)}
	}
	must(c.compute.CreateLaunchTemplate(ctx, &ec2api.CreateLaunchTemplateInput{LaunchTemplateName: aws.String("shop"), LaunchTemplateData: data("b2xk")}))
	must(c.compute.CreateLaunchTemplateVersion(ctx, &ec2api.CreateLaunchTemplateVersionInput{LaunchTemplateName: aws.String("shop"), LaunchTemplateData: data("bmV3")}))
	b := must(c.elb.CreateLoadBalancer(ctx, &elbv2.CreateLoadBalancerInput{Name: aws.String("shop")})).LoadBalancers[0]
	g := must(c.elb.CreateTargetGroup(ctx, &elbv2.CreateTargetGroupInput{
		Name: aws.String("web"), Port: aws.Int32(sitePort), Protocol: elbtypes.ProtocolEnumHttp, HealthCheckIntervalSeconds: aws.Int32(6),
	})).TargetGroups[0]
	must(c.elb.ModifyTargetGroupAttributes(ctx, &elbv2.ModifyTargetGroupAttributesInput{
		TargetGroupArn: g.TargetGroupArn, Attributes: []elbtypes.TargetGroupAttribute{{Key: aws.String("deregistration_delay.timeout_seconds"), Value: aws.String("30")}},
	}))
	port := freePort()
	must(c.elb.CreateListener(ctx, &elbv2.CreateListenerInput{
		LoadBalancerArn: b.LoadBalancerArn, Port: aws.Int32(int32(port)), Protocol: elbtypes.ProtocolEnumHttp,
		DefaultActions: []elbtypes.Action{{Type: elbtypes.ActionTypeEnumForward, TargetGroupArn: g.TargetGroupArn}},
	}))
	must(c.scaling.CreateAutoScalingGroup(ctx, &autoscaling.CreateAutoScalingGroupInput{
		AutoScalingGroupName: aws.String("shop"), MinSize: aws.Int32(2), MaxSize: aws.Int32(2),
		LaunchTemplate:    &types.LaunchTemplateSpecification{LaunchTemplateName: aws.String("shop"), Version: aws.String("1")},
		VPCZoneIdentifier: aws.String("subnet-0000000000000000b,subnet-0000000000000000a"), TargetGroupARNs: []string{*g.TargetGroupArn},
		HealthCheckType: aws.String("ELB"), DefaultInstanceWarmup: aws.Int32(30),
	}))
	return "http://127.0.0.1:" + strconv.Itoa(port) + "/"
}

func freePort() int {
	l := must(net.Listen("tcp", "127.0.0.1:0"))
	defer func() { _ = l.Close() }()
	return l.Addr().(*net.TCPAddr).Port
}

// ask is what the site says, or the failure.
func ask(url string) string {
	resp, err := http.Get(url)
	if err != nil {
		return err.Error()
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		return resp.Status
	}
	return strings.TrimSpace(string(body))
}

// wait is for real time.
func (c *clients) wait(what string, so func() bool) {
	c.Helper()
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	limit := time.After(2 * time.Minute)
	for !so() {
		select {
		case <-ticker.C:
		case <-limit:
			c.Fatalf("not within two minutes: %s", what)
		}
	}
}
