package e2e

import (
	"cmp"
	"context"
	_ "embed" // user-data.sh
	"encoding/base64"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	astypes "github.com/aws/aws-sdk-go-v2/service/autoscaling/types"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"
	elb "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	elbtypes "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	s3types "github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	ssmtypes "github.com/aws/aws-sdk-go-v2/service/ssm/types"
)

//go:embed files/user-data.sh
var userData string

// AWS is the SDK's configuration for the stack's local cloud.
func (s *Stack) AWS() aws.Config {
	return aws.Config{
		Region:       s.Environ["AWS_REGION"],
		BaseEndpoint: aws.String(s.Environ["AWS_ENDPOINT_URL"]),
		Credentials: credentials.NewStaticCredentialsProvider(
			s.Environ["AWS_ACCESS_KEY_ID"], s.Environ["AWS_SECRET_ACCESS_KEY"], ""),
	}
}

// makeGroup makes, with the real SDK, what the owner of a shop has before
// wpbake comes: bucket, parameters, template, load balancer and group.
func (s *Stack) makeGroup(ctx context.Context, nodes int, vars settings) error {
	if err := s.makeBucket(ctx); err != nil {
		return err
	}
	if err := s.putParameters(ctx, vars); err != nil {
		return err
	}
	net, err := s.network(ctx)
	if err != nil {
		return err
	}
	targets, err := s.makeLoadBalancer(ctx, net)
	if err != nil {
		return err
	}
	if err := s.makeTemplate(ctx); err != nil {
		return err
	}
	if err := s.makeAutoScaling(ctx, int32(nodes), net, targets); err != nil {
		return err
	}
	if err := s.awaitHealthy(ctx, nodes, targets); err != nil {
		return err
	}
	s.say("%d nodes without a release are healthy behind %s", nodes, s.Site)
	return nil
}

func (s *Stack) makeBucket(ctx context.Context) error {
	client := s3.NewFromConfig(s.AWS(), func(o *s3.Options) { o.UsePathStyle = true })
	_, err := client.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: aws.String(Bucket),
		CreateBucketConfiguration: &s3types.CreateBucketConfiguration{LocationConstraint: s3types.BucketLocationConstraint(s.AWS().Region)}})
	return err
}

func (s *Stack) putParameters(ctx context.Context, vars settings) error {
	client := ssm.NewFromConfig(s.AWS())
	for name, value := range vars {
		_, err := client.PutParameter(ctx, &ssm.PutParameterInput{
			Name: aws.String("/" + Group + "/" + name), Value: aws.String(value), Type: ssmtypes.ParameterTypeSecureString})
		if err != nil {
			return err
		}
	}
	return nil
}

// baseImage is there from the start: the host's own system.
const baseImage = "ami-0123456789abcdef0"

// makeTemplate makes the launch template whose user data brings nginx and
// PHP-FPM to a node.
func (s *Stack) makeTemplate(ctx context.Context) error {
	site, err := url.Parse(s.Site)
	if err != nil {
		return err
	}
	script := strings.NewReplacer("@SITE@", site.Host, "@SESSIONS@", s.sessions).Replace(userData)
	client := ec2.NewFromConfig(s.AWS())
	_, err = client.CreateLaunchTemplate(ctx, &ec2.CreateLaunchTemplateInput{
		LaunchTemplateName: aws.String(Group),
		LaunchTemplateData: &ec2types.RequestLaunchTemplateData{
			ImageId:      aws.String(baseImage),
			InstanceType: ec2types.InstanceTypeT3Small,
			UserData:     aws.String(base64.StdEncoding.EncodeToString([]byte(script))),
		},
	})
	return err
}

// network is the account's own.
type network struct {
	vpc     string
	subnets []string
}

func (s *Stack) network(ctx context.Context) (network, error) {
	out, err := ec2.NewFromConfig(s.AWS()).DescribeSubnets(ctx, &ec2.DescribeSubnetsInput{})
	if err != nil {
		return network{}, err
	}
	var n network
	for _, subnet := range out.Subnets {
		n.vpc = *subnet.VpcId
		n.subnets = append(n.subnets, *subnet.SubnetId)
	}
	return n, nil
}

// makeLoadBalancer makes load balancer, listener and target group and returns
// the target group.
func (s *Stack) makeLoadBalancer(ctx context.Context, net network) (targets string, err error) {
	site, err := url.Parse(s.Site)
	if err != nil {
		return "", err
	}
	port, err := strconv.ParseInt(site.Port(), 10, 32)
	if err != nil {
		return "", err
	}
	client := elb.NewFromConfig(s.AWS())
	balancer, err := client.CreateLoadBalancer(ctx, &elb.CreateLoadBalancerInput{
		Name: aws.String(Group), Subnets: net.subnets})
	if err != nil {
		return "", err
	}
	group, err := client.CreateTargetGroup(ctx, &elb.CreateTargetGroupInput{
		Name: aws.String(Group), Protocol: elbtypes.ProtocolEnumHttp, Port: aws.Int32(8080), VpcId: &net.vpc,
		HealthCheckPath: aws.String("/wpb-health"), HealthCheckIntervalSeconds: aws.Int32(5), HealthCheckTimeoutSeconds: aws.Int32(4),
		HealthyThresholdCount: aws.Int32(2), UnhealthyThresholdCount: aws.Int32(2),
	})
	if err != nil {
		return "", err
	}
	targets = *group.TargetGroups[0].TargetGroupArn
	_, err = client.ModifyTargetGroupAttributes(ctx, &elb.ModifyTargetGroupAttributesInput{TargetGroupArn: &targets,
		Attributes: []elbtypes.TargetGroupAttribute{{Key: aws.String("deregistration_delay.timeout_seconds"), Value: aws.String("20")}}})
	if err != nil {
		return "", err
	}
	_, err = client.CreateListener(ctx, &elb.CreateListenerInput{
		LoadBalancerArn: balancer.LoadBalancers[0].LoadBalancerArn, Protocol: elbtypes.ProtocolEnumHttp, Port: aws.Int32(int32(port)),
		DefaultActions: []elbtypes.Action{{Type: elbtypes.ActionTypeEnumForward, TargetGroupArn: &targets}},
	})
	return targets, err
}

// makeAutoScaling makes the group as many owners have it: on $Latest, which
// wpbake adopt pins.
func (s *Stack) makeAutoScaling(ctx context.Context, nodes int32, net network, targets string) error {
	_, err := autoscaling.NewFromConfig(s.AWS()).CreateAutoScalingGroup(ctx, &autoscaling.CreateAutoScalingGroupInput{
		AutoScalingGroupName: aws.String(Group), LaunchTemplate: &astypes.LaunchTemplateSpecification{LaunchTemplateName: aws.String(Group), Version: aws.String("$Latest")},
		MinSize: aws.Int32(nodes), DesiredCapacity: aws.Int32(nodes), MaxSize: aws.Int32(nodes + 2),
		VPCZoneIdentifier: aws.String(strings.Join(net.subnets, ",")), TargetGroupARNs: []string{targets},
		HealthCheckType: aws.String("ELB"), HealthCheckGracePeriod: aws.Int32(120), DefaultInstanceWarmup: aws.Int32(10),
	})
	return err
}

// awaitHealthy waits until the load balancer has as many healthy nodes as the
// group wants.
func (s *Stack) awaitHealthy(ctx context.Context, nodes int, targets string) error {
	client := elb.NewFromConfig(s.AWS())
	limited, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	err := poll(limited, 100*time.Millisecond, func() error {
		out, err := client.DescribeTargetHealth(ctx, &elb.DescribeTargetHealthInput{TargetGroupArn: &targets})
		if err != nil {
			return final{err}
		}
		healthy, seen := 0, []string{}
		for _, d := range out.TargetHealthDescriptions {
			if d.TargetHealth.State == elbtypes.TargetHealthStateEnumHealthy {
				healthy++
			}
			seen = append(seen, fmt.Sprintf("%s %s %s", *d.Target.Id, d.TargetHealth.State, d.TargetHealth.Reason))
		}
		if healthy < nodes {
			return fmt.Errorf("%d of %d nodes are healthy: %s", healthy, nodes, strings.Join(seen, ", "))
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("waiting for the first nodes: %w%s", err, s.lastActivity())
	}
	return nil
}

// lastActivity is what Auto Scaling last wrote about the group, such as why it
// could not launch a node.
func (s *Stack) lastActivity() string {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	out, err := autoscaling.NewFromConfig(s.AWS()).DescribeScalingActivities(ctx,
		&autoscaling.DescribeScalingActivitiesInput{AutoScalingGroupName: aws.String(Group), MaxRecords: aws.Int32(1)})
	if err != nil || len(out.Activities) == 0 {
		return ""
	}
	a := out.Activities[0]
	return fmt.Sprintf("; last activity: %s", aws.ToString(cmp.Or(a.StatusMessage, a.Description)))
}
