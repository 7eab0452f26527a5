package aws

import (
	"context"
	"fmt"
	"strings"

	sdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/feature/ec2/imds"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	"github.com/aws/aws-sdk-go-v2/service/ssm"

	"github.com/wpbake/wpbake/node"
)

type metadata struct{ client *imds.Client }

func (m metadata) Instance(ctx context.Context) (node.Identity, error) {
	out, err := m.client.GetInstanceIdentityDocument(ctx, nil)
	if err != nil {
		return node.Identity{}, fmt.Errorf("asking the instance metadata service: %w", err)
	}
	return node.Identity{Instance: out.InstanceID, Region: out.Region}, nil
}

type lifecycle struct{ client *autoscaling.Client }

func (l lifecycle) Complete(ctx context.Context, c node.Completion) error {
	_, err := l.client.CompleteLifecycleAction(ctx, &autoscaling.CompleteLifecycleActionInput{
		AutoScalingGroupName: &c.Group, LifecycleHookName: &c.Hook, InstanceId: &c.Instance, LifecycleActionResult: &c.Result,
	})
	return about(c.Instance, err)
}

func (l lifecycle) Heartbeat(ctx context.Context, a node.Action) error {
	_, err := l.client.RecordLifecycleActionHeartbeat(ctx, &autoscaling.RecordLifecycleActionHeartbeatInput{
		AutoScalingGroupName: &a.Group, LifecycleHookName: &a.Hook, InstanceId: &a.Instance,
	})
	return about(a.Instance, err)
}

type parameters struct{ client *ssm.Client }

func (p parameters) Get(ctx context.Context, path string) (map[string]string, error) {
	pages := ssm.NewGetParametersByPathPaginator(p.client, &ssm.GetParametersByPathInput{
		Path: &path, Recursive: sdk.Bool(true), WithDecryption: sdk.Bool(true),
	})
	found := map[string]string{}
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, about(path, err)
		}
		for _, param := range page.Parameters {
			name := strings.TrimPrefix(sdk.ToString(param.Name), strings.TrimSuffix(path, "/")+"/")
			found[name] = sdk.ToString(param.Value)
		}
	}
	return found, nil
}
