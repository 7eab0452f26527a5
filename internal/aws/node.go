package aws

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	sdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/feature/ec2/imds"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	smithyhttp "github.com/aws/smithy-go/transport/http"

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

// UserData returns this instance's user data, nil when it has none.
func (c *Clients) UserData(ctx context.Context) ([]byte, error) {
	out, err := c.imds.GetUserData(ctx, nil)
	var answer *smithyhttp.ResponseError
	if errors.As(err, &answer) && answer.HTTPStatusCode() == http.StatusNotFound {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("asking the instance metadata service for user data: %w", err)
	}
	defer out.Content.Close()
	data, err := io.ReadAll(io.LimitReader(out.Content, userDataLimit))
	if err != nil {
		return nil, fmt.Errorf("reading user data: %w", err)
	}
	return data, nil
}

// userDataLimit is more than EC2 stores, in bytes.
const userDataLimit = 64 << 10

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
