package ssm

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/ssm/types"

	"github.com/wpbake/wpbake/internal/wire"
)

// Limits of Run Command.
const (
	shellDocument = "AWS-RunShellScript"
	shellPlugin   = "aws:runShellScript"
	maxInstances  = 50
	maxStdout     = 24000 // characters that GetCommandInvocation gives
	maxStderr     = 8000
	defaultRun    = time.Hour
	maxCommands   = 1000 // the oldest are forgotten
)

// Run answers with what runs a shell script on an instance and returns its exit
// code, or with an error when the instance is not managed.
type Run func(instance string) (run func(ctx context.Context, script string, stdout, stderr io.Writer) (int, error), err error)

// invocation is a command on one instance. Commands do not outlive the local
// cloud.
type invocation struct {
	command, instance string
	comment           string
	status            types.CommandInvocationStatus
	details           string
	code              int32
	stdout, stderr    []byte
	started, ended    time.Time
}

func (s *Service) sendCommand(_ context.Context, in *ssm.SendCommandInput) (*ssm.SendCommandOutput, error) {
	if name := aws.ToString(in.DocumentName); name != shellDocument {
		return nil, wire.Errorf("InvalidDocument", "Document with name %s does not exist.", name)
	}
	if len(in.InstanceIds) == 0 || len(in.InstanceIds) > maxInstances {
		return nil, wire.Errorf("ValidationException", "The number of instance IDs must be between 1 and %d.", maxInstances)
	}
	lines := in.Parameters["commands"]
	if len(lines) == 0 {
		return nil, wire.Errorf("InvalidParameters", "Parameter \"commands\" requires a value.")
	}
	limit, err := executionTimeout(in.Parameters["executionTimeout"])
	if err != nil {
		return nil, err
	}
	runs := make([]func(context.Context, string, io.Writer, io.Writer) (int, error), len(in.InstanceIds))
	for i, id := range in.InstanceIds {
		if s.options.Run == nil {
			return nil, s.unmanaged(id)
		}
		if runs[i], err = s.options.Run(id); err != nil {
			return nil, s.unmanaged(id)
		}
	}
	command := newCommandID()
	now := time.Now()
	for i, id := range in.InstanceIds {
		v := &invocation{command: command, instance: id, comment: aws.ToString(in.Comment),
			status: types.CommandInvocationStatusInProgress, details: "InProgress", code: -1, started: now}
		s.remember(v)
		go s.invoke(v, runs[i], strings.Join(lines, "\n"), limit)
	}
	return &ssm.SendCommandOutput{Command: &types.Command{
		CommandId: &command, DocumentName: in.DocumentName, InstanceIds: in.InstanceIds, Parameters: in.Parameters, Comment: in.Comment,
		RequestedDateTime: &now, Status: types.CommandStatusPending, StatusDetails: aws.String("Pending"),
		TargetCount: int32(len(in.InstanceIds)), TimeoutSeconds: in.TimeoutSeconds,
	}}, nil
}

func (s *Service) unmanaged(id string) error {
	return wire.Errorf("InvalidInstanceId", "Instances [[%s]] not in a valid state for account %s", id, s.options.Account)
}

func executionTimeout(values []string) (time.Duration, error) {
	if len(values) == 0 {
		return defaultRun, nil
	}
	n, err := strconv.Atoi(values[0])
	if err != nil || n < 1 || n > 172800 {
		return 0, wire.Errorf("InvalidParameters", "executionTimeout must be between 1 and 172800.")
	}
	return time.Duration(n) * time.Second, nil
}

func (s *Service) remember(v *invocation) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.commands = append(s.commands, v)
	if over := len(s.commands) - maxCommands; over > 0 {
		s.commands = s.commands[over:]
	}
}

// invoke runs a command to its end. It ends with its machine.
func (s *Service) invoke(v *invocation, run func(context.Context, string, io.Writer, io.Writer) (int, error), script string, limit time.Duration) {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	var stdout, stderr bytes.Buffer
	code, err := run(ctx, script, &stdout, &stderr)
	s.mu.Lock()
	defer s.mu.Unlock()
	v.ended, v.code = time.Now(), int32(code)
	v.stdout, v.stderr = cut(stdout.Bytes(), maxStdout), cut(stderr.Bytes(), maxStderr)
	switch {
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		v.status, v.details = types.CommandInvocationStatusTimedOut, "Execution Timed Out"
	case err != nil:
		v.status, v.details, v.stderr = types.CommandInvocationStatusFailed, "Undeliverable", []byte(err.Error())
	case code != 0:
		v.status, v.details = types.CommandInvocationStatusFailed, "Failed"
	default:
		v.status, v.details = types.CommandInvocationStatusSuccess, "Success"
	}
}

func cut(b []byte, n int) []byte { return b[:min(len(b), n)] }

func (s *Service) getCommandInvocation(_ context.Context, in *ssm.GetCommandInvocationInput) (*ssm.GetCommandInvocationOutput, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, one := range s.commands {
		if one.command != aws.ToString(in.CommandId) || one.instance != aws.ToString(in.InstanceId) {
			continue
		}
		v := *one // the command may end while the answer is being written
		out := &ssm.GetCommandInvocationOutput{
			CommandId: &v.command, InstanceId: &v.instance, Comment: &v.comment, DocumentName: aws.String(shellDocument),
			PluginName: aws.String(shellPlugin), ResponseCode: v.code, Status: v.status, StatusDetails: &v.details,
			ExecutionStartDateTime: stamp(v.started), StandardOutputContent: aws.String(string(v.stdout)), StandardErrorContent: aws.String(string(v.stderr)),
		}
		if !v.ended.IsZero() {
			out.ExecutionEndDateTime = stamp(v.ended)
		}
		return out, nil
	}
	return nil, wire.Errorf("InvocationDoesNotExist", "")
}

func stamp(t time.Time) *string { return aws.String(t.UTC().Format("2006-01-02T15:04:05.000Z")) }

func newCommandID() string {
	var b [16]byte
	rand.Read(b[:])
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
