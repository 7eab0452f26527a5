package autoscaling_test

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling/types"
	ec2api "github.com/aws/aws-sdk-go-v2/service/ec2"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"
	elbv2 "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	elbtypes "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"

	"github.com/wpbake/wpbake/internal/aws/awstest"
	"github.com/wpbake/wpbake/internal/localcloud"
	"github.com/wpbake/wpbake/internal/localcloud/ec2"
)

// The whole local cloud, asked by AWS's own clients, in virtual time.

// idle runs machines that do nothing until they are stopped.
type idle struct{}

func (idle) Start(context.Context, ec2.Machine) (ec2.Process, error) {
	return &process{done: make(chan struct{})}, nil
}

type process struct {
	once sync.Once
	done chan struct{}
}

func (p *process) Console() []byte            { return nil }
func (p *process) Stop(context.Context) error { p.once.Do(func() { close(p.done) }); return nil }
func (p *process) Kill() error                { return p.Stop(context.Background()) }
func (p *process) Done() <-chan struct{}      { return p.done }

// fine answers every health check with 200.
type fine struct{}

func (fine) Probe(context.Context, string, string) (int, error) { return 200, nil }

type clients struct {
	*testing.T
	scaling *autoscaling.Client
	compute *ec2api.Client
	elb     *elbv2.Client
}

func inCloud(t *testing.T, f func(*clients)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		cloud, err := localcloud.New(localcloud.Options{Runner: idle{}, Prober: fine{}, NoServe: true})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- cloud.Run(ctx) }()
		f(newClients(t, cloud))
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func newClients(t *testing.T, cloud *localcloud.Cloud) *clients {
	env := cloud.Environ()
	config := aws.Config{
		Region: env["AWS_REGION"], BaseEndpoint: aws.String("http://127.0.0.1:1"), HTTPClient: awstest.Transport{Handler: cloud},
		Credentials: credentials.NewStaticCredentialsProvider(env["AWS_ACCESS_KEY_ID"], env["AWS_SECRET_ACCESS_KEY"], ""),
	}
	return &clients{T: t, scaling: autoscaling.NewFromConfig(config), compute: ec2api.NewFromConfig(config), elb: elbv2.NewFromConfig(config)}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// setUp makes a template with two versions, a load balancer and a group of n nodes.
func (c *clients) setUp(n int32) {
	c.Helper()
	ctx := c.Context()
	images := must(c.compute.DescribeImages(ctx, &ec2api.DescribeImagesInput{})).Images
	data := &ec2types.RequestLaunchTemplateData{ImageId: images[0].ImageId, InstanceType: ec2types.InstanceTypeT3Micro}
	must(c.compute.CreateLaunchTemplate(ctx, &ec2api.CreateLaunchTemplateInput{LaunchTemplateName: aws.String("shop"), LaunchTemplateData: data}))
	data.UserData = aws.String("IyEvYmluL3NoCg==")
	must(c.compute.CreateLaunchTemplateVersion(ctx, &ec2api.CreateLaunchTemplateVersionInput{LaunchTemplateName: aws.String("shop"), LaunchTemplateData: data}))

	b := must(c.elb.CreateLoadBalancer(ctx, &elbv2.CreateLoadBalancerInput{Name: aws.String("shop")})).LoadBalancers[0]
	g := must(c.elb.CreateTargetGroup(ctx, &elbv2.CreateTargetGroupInput{Name: aws.String("web"), Port: aws.Int32(80), Protocol: elbtypes.ProtocolEnumHttp})).TargetGroups[0]
	must(c.elb.CreateListener(ctx, &elbv2.CreateListenerInput{
		LoadBalancerArn: b.LoadBalancerArn, Port: aws.Int32(80), Protocol: elbtypes.ProtocolEnumHttp,
		DefaultActions: []elbtypes.Action{{Type: elbtypes.ActionTypeEnumForward, TargetGroupArn: g.TargetGroupArn}},
	}))
	must(c.scaling.CreateAutoScalingGroup(ctx, &autoscaling.CreateAutoScalingGroupInput{
		AutoScalingGroupName: aws.String("shop"), MinSize: aws.Int32(1), MaxSize: aws.Int32(2000), DesiredCapacity: aws.Int32(n),
		LaunchTemplate:    &types.LaunchTemplateSpecification{LaunchTemplateName: aws.String("shop"), Version: aws.String("1")},
		AvailabilityZones: []string{"eu-central-1a", "eu-central-1b"}, TargetGroupARNs: []string{*g.TargetGroupArn},
		HealthCheckType: aws.String("ELB"), DefaultInstanceWarmup: aws.Int32(60),
	}))
	c.until(time.Hour, func() bool { return c.inService()["1"] == int(n) })
}

func (c *clients) until(limit time.Duration, so func() bool) {
	c.Helper()
	for end := time.Now().Add(limit); !so(); time.Sleep(10 * time.Second) {
		if time.Now().After(end) {
			c.Fatalf("not so within %s; refresh: %+v", limit, c.refresh())
		}
	}
}

func (c *clients) group() types.AutoScalingGroup {
	c.Helper()
	out := must(c.scaling.DescribeAutoScalingGroups(c.Context(), &autoscaling.DescribeAutoScalingGroupsInput{AutoScalingGroupNames: []string{"shop"}}))
	return out.AutoScalingGroups[0]
}

// inService counts nodes by template version.
func (c *clients) inService() map[string]int {
	c.Helper()
	out := map[string]int{}
	for _, i := range c.group().Instances {
		if i.LifecycleState == types.LifecycleStateInService {
			out[*i.LaunchTemplate.Version]++
		}
	}
	return out
}

func (c *clients) refresh() *types.InstanceRefresh {
	c.Helper()
	out := must(c.scaling.DescribeInstanceRefreshes(c.Context(), &autoscaling.DescribeInstanceRefreshesInput{AutoScalingGroupName: aws.String("shop")}))
	if len(out.InstanceRefreshes) == 0 {
		return nil
	}
	return &out.InstanceRefreshes[0]
}

func TestRefreshThroughClients(t *testing.T) {
	for _, n := range []int32{1, 4, 200} {
		t.Run(strconv.Itoa(int(n)), func(t *testing.T) {
			inCloud(t, func(c *clients) {
				c.setUp(n)
				must(c.scaling.StartInstanceRefresh(c.Context(), &autoscaling.StartInstanceRefreshInput{
					AutoScalingGroupName: aws.String("shop"),
					DesiredConfiguration: &types.DesiredConfiguration{LaunchTemplate: &types.LaunchTemplateSpecification{LaunchTemplateName: aws.String("shop"), Version: aws.String("2")}},
					Preferences: &types.RefreshPreferences{
						MinHealthyPercentage: aws.Int32(100), MaxHealthyPercentage: aws.Int32(150), AutoRollback: aws.Bool(true),
						ScaleInProtectedInstances: types.ScaleInProtectedInstancesIgnore, StandbyInstances: types.StandbyInstancesIgnore,
					},
				}))
				_, err := c.scaling.StartInstanceRefresh(c.Context(), &autoscaling.StartInstanceRefreshInput{AutoScalingGroupName: aws.String("shop")})
				if err == nil {
					t.Error("a second refresh was started")
				}
				c.until(3*time.Hour, func() bool { return c.refresh().EndTime != nil })
				r := c.refresh()
				if r.Status != types.InstanceRefreshStatusSuccessful || *r.PercentageComplete != 100 || *r.Preferences.MaxHealthyPercentage != 150 {
					t.Errorf("refresh %+v", r)
				}
				if got := c.inService(); got["2"] != int(n) || len(got) != 1 || *c.group().LaunchTemplate.Version != "2" {
					t.Errorf("versions %v, saved %s", got, *c.group().LaunchTemplate.Version)
				}
			})
		})
	}
}

func TestLaunchConfigurationThroughClients(t *testing.T) {
	inCloud(t, func(c *clients) {
		ctx, name := c.Context(), aws.String("shop-2019")
		image := must(c.compute.DescribeImages(ctx, &ec2api.DescribeImagesInput{})).Images[0].ImageId
		must(c.scaling.CreateLaunchConfiguration(ctx, &autoscaling.CreateLaunchConfigurationInput{
			LaunchConfigurationName: name, ImageId: image, InstanceType: aws.String("t3.small"), UserData: aws.String("IyEvYmluL3NoCg=="),
		}))
		must(c.scaling.CreateAutoScalingGroup(ctx, &autoscaling.CreateAutoScalingGroupInput{
			AutoScalingGroupName: aws.String("shop"), MinSize: aws.Int32(2), MaxSize: aws.Int32(2), LaunchConfigurationName: name,
			VPCZoneIdentifier: aws.String("subnet-0000000000000000c,subnet-0000000000000000b"),
		}))
		c.until(time.Hour, func() bool { return len(c.group().Instances) == 2 })
		g := c.group()
		if *g.LaunchConfigurationName != *name || g.LaunchTemplate != nil || !slices.Equal(g.AvailabilityZones, []string{"eu-central-1c", "eu-central-1b"}) {
			t.Errorf("group %+v", g)
		}
		for _, node := range g.Instances {
			out := must(c.compute.DescribeInstances(ctx, &ec2api.DescribeInstancesInput{InstanceIds: []string{*node.InstanceId}}))
			i := out.Reservations[0].Instances[0]
			if *node.LaunchConfigurationName != *name || *i.ImageId != *image || i.InstanceType != ec2types.InstanceTypeT3Small || *i.Placement.AvailabilityZone != *node.AvailabilityZone {
				t.Errorf("node %+v is instance %+v", node, i)
			}
		}
		all := must(c.scaling.DescribeLaunchConfigurations(ctx, &autoscaling.DescribeLaunchConfigurationsInput{})).LaunchConfigurations
		if len(all) != 1 || *all[0].UserData != "IyEvYmluL3NoCg==" {
			t.Errorf("configurations %+v", all)
		}
		var used *types.ResourceInUseFault
		if _, err := c.scaling.DeleteLaunchConfiguration(ctx, &autoscaling.DeleteLaunchConfigurationInput{LaunchConfigurationName: name}); !errors.As(err, &used) {
			t.Errorf("deleting one in use: %v", err)
		}
	})
}
