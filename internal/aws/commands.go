package aws

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	sdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/ssm/types"
)

const (
	shellDocument = "AWS-RunShellScript"
	deliveryTime  = 60      // seconds for the node's agent to take a command
	executionTime = "14400" // seconds: a schema step can take long on a large table
	commandPoll   = time.Second
	lateAnswer    = 30 * time.Second // for an invocation to show after its command was accepted
)

// Commands runs commands on instances by SSM's Run Command.
type Commands struct{ client *ssm.Client }

// Commands reaches instances that SSM manages.
func (c *Clients) Commands() Commands { return Commands{c.ssm} }

// Run runs one command as root and returns what it printed, at most 24000
// characters of it. When ctx ends the command goes on without its caller.
func (c Commands) Run(ctx context.Context, instance string, argv []string) (stdout []byte, err error) {
	sent, err := c.client.SendCommand(ctx, &ssm.SendCommandInput{
		DocumentName: sdk.String(shellDocument), InstanceIds: []string{instance}, TimeoutSeconds: sdk.Int32(deliveryTime),
		Comment: sdk.String("wpbake"),
		Parameters: map[string][]string{
			"commands":         {`PATH="$PATH:/usr/local/bin" ` + shellLine(argv)},
			"executionTimeout": {executionTime},
		},
	})
	if err != nil {
		return nil, about(instance, err)
	}
	out, err := c.await(ctx, instance, sdk.ToString(sent.Command.CommandId))
	if err != nil {
		return nil, about(instance, err)
	}
	stdout = []byte(sdk.ToString(out.StandardOutputContent))
	if out.Status == types.CommandInvocationStatusSuccess {
		return stdout, nil
	}
	said := strings.TrimSpace(sdk.ToString(out.StandardErrorContent))
	said = said[strings.LastIndexByte(said, '\n')+1:]
	err = fmt.Errorf("running %q on %s: %s", strings.Join(argv, " "), instance, sdk.ToString(out.StatusDetails))
	if said != "" {
		err = fmt.Errorf("%w: %s", err, said)
	}
	return stdout, err
}

// await asks until a command has ended. Right after it was accepted nothing may
// be known of it yet.
func (c Commands) await(ctx context.Context, instance, command string) (*ssm.GetCommandInvocationOutput, error) {
	for sent := time.Now(); ; {
		out, err := c.client.GetCommandInvocation(ctx, &ssm.GetCommandInvocationInput{CommandId: &command, InstanceId: &instance})
		var unknown *types.InvocationDoesNotExist
		switch {
		case errors.As(err, &unknown) && time.Since(sent) < lateAnswer:
		case err != nil:
			return nil, err
		case out.Status != types.CommandInvocationStatusPending && out.Status != types.CommandInvocationStatusInProgress && out.Status != types.CommandInvocationStatusDelayed && out.Status != types.CommandInvocationStatusCancelling:
			return out, nil
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(commandPoll):
		}
	}
}

// shellLine quotes words for a POSIX shell.
func shellLine(argv []string) string {
	quoted := make([]string, len(argv))
	for i, word := range argv {
		quoted[i] = "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
	}
	return strings.Join(quoted, " ")
}
