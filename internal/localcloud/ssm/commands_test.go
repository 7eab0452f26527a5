package ssm

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/ssm/types"
)

// agent answers scripts as the instance i-1 would, and knows no other.
func agent(instance string) (func(context.Context, string, io.Writer, io.Writer) (int, error), error) {
	if instance != "i-1" {
		return nil, errors.New("unknown")
	}
	return func(ctx context.Context, script string, stdout, stderr io.Writer) (int, error) {
		select { // what asks at once always finds it at work
		case <-time.After(time.Second):
		case <-ctx.Done():
		}
		fmt.Fprint(stdout, script)
		fmt.Fprint(stderr, strings.Repeat("e", 2*maxStderr))
		switch script {
		case "fail":
			return 3, nil
		case "hang":
			<-ctx.Done()
			return 0, ctx.Err()
		}
		return 0, nil
	}, nil
}

func TestRunCommand(t *testing.T) {
	for _, tt := range []struct {
		script  string
		status  types.CommandInvocationStatus
		details string
		code    int32
	}{
		{"work", types.CommandInvocationStatusSuccess, "Success", 0},
		{"fail", types.CommandInvocationStatusFailed, "Failed", 3},
		{"hang", types.CommandInvocationStatusTimedOut, "Execution Timed Out", 0},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := New(Options{Account: "123456789012", Run: agent})
			sent, err := s.sendCommand(t.Context(), &ssm.SendCommandInput{DocumentName: aws.String(shellDocument), InstanceIds: []string{"i-1"},
				Parameters: map[string][]string{"commands": {tt.script}, "executionTimeout": {"60"}}})
			if err != nil {
				t.Fatal(err)
			}
			ask := &ssm.GetCommandInvocationInput{CommandId: sent.Command.CommandId, InstanceId: aws.String("i-1")}
			out, err := s.getCommandInvocation(t.Context(), ask)
			if err != nil || out.Status != types.CommandInvocationStatusInProgress || out.ResponseCode != -1 {
				t.Fatalf("at once: %+v, %v", out, err)
			}
			first := out
			<-time.After(2 * time.Second)
			if tt.script == "hang" {
				<-time.After(60 * time.Second)
			}
			synctest.Wait()
			if *first.StatusDetails != "InProgress" {
				t.Errorf("an answer that was given became %q when the command ended", *first.StatusDetails)
			}
			out, err = s.getCommandInvocation(t.Context(), ask)
			if err != nil || out.Status != tt.status || *out.StatusDetails != tt.details || out.ResponseCode != tt.code || *out.StandardOutputContent != tt.script || len(*out.StandardErrorContent) != maxStderr {
				t.Errorf("%s: %+v, %v", tt.script, out, err)
			}
		})
	}
}

func TestRunCommandRefuses(t *testing.T) {
	s := New(Options{Account: "123456789012", Run: agent})
	commands := map[string][]string{"commands": {"true"}}
	for want, in := range map[string]*ssm.SendCommandInput{
		"InvalidInstanceId":   {DocumentName: aws.String(shellDocument), InstanceIds: []string{"i-1", "i-2"}, Parameters: commands},
		"InvalidDocument":     {DocumentName: aws.String("AWS-RunPowerShellScript"), InstanceIds: []string{"i-1"}, Parameters: commands},
		"InvalidParameters":   {DocumentName: aws.String(shellDocument), InstanceIds: []string{"i-1"}},
		"ValidationException": {DocumentName: aws.String(shellDocument), Parameters: commands},
	} {
		if _, err := s.sendCommand(t.Context(), in); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	if len(s.commands) != 0 {
		t.Errorf("%d commands were run", len(s.commands))
	}
	if _, err := s.getCommandInvocation(t.Context(), &ssm.GetCommandInvocationInput{CommandId: aws.String("x"), InstanceId: aws.String("i-1")}); err == nil || !strings.Contains(err.Error(), "InvocationDoesNotExist") {
		t.Errorf("got %v", err)
	}
}
