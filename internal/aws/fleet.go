package aws

import (
	"context"
	"encoding/base64"
	"errors"
	"slices"

	sdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	cwtypes "github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	elbv2 "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"

	"github.com/wpbake/wpbake/rollout"
)

type fleet struct {
	elb *elbv2.Client
	cw  *cloudwatch.Client
	ec2 *ec2.Client
}

func (f fleet) Targets(ctx context.Context, targetGroupARN string) ([]rollout.Target, error) {
	out, err := f.elb.DescribeTargetHealth(ctx, &elbv2.DescribeTargetHealthInput{TargetGroupArn: &targetGroupARN})
	if err != nil {
		return nil, about(targetGroupARN, err)
	}
	targets := make([]rollout.Target, 0, len(out.TargetHealthDescriptions))
	for _, d := range out.TargetHealthDescriptions {
		if d.Target == nil || d.TargetHealth == nil {
			continue
		}
		targets = append(targets, rollout.Target{
			ID:          sdk.ToString(d.Target.Id),
			State:       string(d.TargetHealth.State),
			Reason:      string(d.TargetHealth.Reason),
			Description: sdk.ToString(d.TargetHealth.Description),
		})
	}
	return targets, nil
}

const alarmsPerCall = 100

func (f fleet) Alarms(ctx context.Context, names []string) (map[string]string, error) {
	states := map[string]string{}
	for batch := range slices.Chunk(names, alarmsPerCall) {
		pages := cloudwatch.NewDescribeAlarmsPaginator(f.cw, &cloudwatch.DescribeAlarmsInput{
			AlarmNames: batch,
			MaxRecords: sdk.Int32(alarmsPerCall),
			AlarmTypes: []cwtypes.AlarmType{cwtypes.AlarmTypeMetricAlarm, cwtypes.AlarmTypeCompositeAlarm},
		})
		for pages.HasMorePages() {
			page, err := pages.NextPage(ctx)
			if err != nil {
				return nil, about(batch[0], err)
			}
			for _, a := range page.MetricAlarms {
				states[sdk.ToString(a.AlarmName)] = string(a.StateValue)
			}
			for _, a := range page.CompositeAlarms {
				states[sdk.ToString(a.AlarmName)] = string(a.StateValue)
			}
		}
	}
	return states, nil
}

// Console asks for the latest output, which only Nitro instances have; others
// answer with what was captured last.
func (f fleet) Console(ctx context.Context, instanceID string) (string, error) {
	in := &ec2.GetConsoleOutputInput{InstanceId: &instanceID, Latest: sdk.Bool(true)}
	out, err := f.ec2.GetConsoleOutput(ctx, in)
	if e := (*Error)(nil); errors.As(err, &e) && e.Code == "UnsupportedOperation" {
		in.Latest = nil
		out, err = f.ec2.GetConsoleOutput(ctx, in)
	}
	if err != nil {
		return "", about(instanceID, err)
	}
	text, err := base64.StdEncoding.DecodeString(sdk.ToString(out.Output))
	if err != nil {
		return "", &Error{
			Service: "EC2", Operation: "GetConsoleOutput", Resource: instanceID, Message: "the output is not base64", err: err,
		}
	}
	return string(text), nil
}
