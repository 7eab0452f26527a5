package aws

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/middleware"

	"github.com/wpbake/wpbake/node"
	"github.com/wpbake/wpbake/rollout"
)

// Error is a call that AWS refused or that did not reach it. It is whichever
// of rollout's, bake's and node's errors its code and message mean. It holds no
// secret and no URL.
type Error struct {
	Service   string // the SDK's name, such as "Auto Scaling"
	Operation string // such as StartInstanceRefresh
	Resource  string // what the call was about; empty where only the SDK knew
	Code      string // AWS's, such as ValidationError; empty when AWS did not answer
	Message   string
	RequestID string
	Attempts  int // when more than one was made in vain

	kind error
	err  error
}

// Error is the cause alone while the resource is unknown: then the SDK's own
// error around it names the operation.
func (e *Error) Error() string {
	var b strings.Builder
	if e.Resource != "" {
		fmt.Fprintf(&b, "calling %s for %q: ", e.Operation, e.Resource)
	}
	if e.Code != "" {
		b.WriteString(e.Code + ": ")
	}
	b.WriteString(e.Message)
	var notes []string
	if e.Attempts > 1 {
		notes = append(notes, fmt.Sprintf("%d attempts", e.Attempts))
	}
	if e.RequestID != "" {
		notes = append(notes, "request "+e.RequestID)
	}
	if len(notes) > 0 {
		b.WriteString(" (" + strings.Join(notes, ", ") + ")")
	}
	return b.String()
}

// Is says whether AWS's answer means target.
func (e *Error) Is(target error) bool { return e.kind != nil && target == e.kind }

// Unwrap leads to the SDK's error, for its fields; its text can hold URLs.
func (e *Error) Unwrap() error { return e.err }

// codes that say all by themselves.
func kindOfCode(code string) error {
	switch code {
	case "AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "OptInRequired":
		return rollout.ErrDenied
	case "ExpiredToken", "ExpiredTokenException", "RequestExpired", "TokenRefreshRequired",
		"InvalidClientTokenId", "InvalidAccessKeyId", "InvalidToken", "UnrecognizedClientException",
		"SignatureDoesNotMatch", "InvalidSignatureException", "IncompleteSignature",
		"AuthFailure", "MissingAuthenticationToken", "MissingAuthenticationTokenException":
		return rollout.ErrCredentials
	case "InvalidLaunchTemplateId.NotFound", "InvalidLaunchTemplateId.VersionNotFound",
		"InvalidLaunchTemplateName.NotFoundException":
		return rollout.ErrNoTemplate
	case "InstanceRefreshInProgress":
		return rollout.ErrRefreshActive
	case "ActiveInstanceRefreshNotFound":
		return rollout.ErrNoRefresh
	case "IrreversibleInstanceRefresh":
		return rollout.ErrIrreversible
	}
	return nil
}

// kindOfValidation reads the texts of Auto Scaling's ValidationError, which
// stands for most of what it refuses. They are matched by the words that never
// varied in published answers.
func kindOfValidation(operation, message string) error {
	text := strings.ToLower(message)
	has := func(words ...string) bool {
		return slices.ContainsFunc(words, func(w string) bool { return strings.Contains(text, w) })
	}
	switch {
	case has("autoscalinggroup name not found"):
		return rollout.ErrNoGroup
	case has("no active lifecycle action found"):
		return node.ErrNoAction
	case has("no in progress or pending instance refresh found"):
		return rollout.ErrNoRefresh
	case has("active instance refresh with a desired configuration exists", "instance refresh is already in progress"):
		return rollout.ErrRefreshActive
	case has("launch template") && has("not exist", "not found", "not find"):
		return rollout.ErrNoTemplate
	case operation == "RollbackInstanceRefresh" && has("rollback", "roll back", "rolled back"):
		return rollout.ErrIrreversible
	}
	return nil
}

const (
	credentialsHint = `AWS_PROFILE or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY name credentials; eval "$(wpbake local env)" those of the local cloud`
	unreachedHint   = `look at the network, AWS_REGION and AWS_ENDPOINT_URL; eval "$(wpbake local env)" leads to the local cloud that runs`
	renewHint       = "renew the credentials, then the same command again; wpbake resume takes up a rollout under way"
)

// Hint says what to do about it; empty when the error says it all.
func (e *Error) Hint() string {
	switch {
	case strings.Contains(e.Code, "Expired"), e.Code == "TokenRefreshRequired":
		return renewHint
	case e.Code == "RequestTimeTooSkewed":
		return "set this machine's clock"
	case e.kind == rollout.ErrCredentials:
		return credentialsHint
	case e.kind == rollout.ErrDenied:
		return e.allow()
	case e.Code == "" && errors.As(e.err, new(*url.Error)):
		return unreachedHint
	case e.Attempts > 1:
		return "AWS was too busy for it: the same command again, in a while"
	}
	return ""
}

func (e *Error) allow() string {
	if strings.Contains(e.Message, "authorized to use launch template") {
		return "Auto Scaling asks for the caller's own ec2:RunInstances, ec2:CreateTags and iam:PassRole when it is given a template"
	}
	prefix := map[string]string{
		"Auto Scaling": "autoscaling", "CloudWatch": "cloudwatch", "EBS": "ebs", "EC2": "ec2",
		"Elastic Load Balancing v2": "elasticloadbalancing", "SSM": "ssm",
	}[e.Service]
	if prefix == "" { // S3's actions are not named like its calls
		return ""
	}
	return "allow the caller " + prefix + ":" + e.Operation
}

// explain makes every client answer failures with an *Error, inside the SDK's
// own error. So a store's failures are rollout's errors as well.
func explain(stack *middleware.Stack) error {
	return stack.Initialize.Add(middleware.InitializeMiddlewareFunc("wpbakeExplain",
		func(ctx context.Context, in middleware.InitializeInput, next middleware.InitializeHandler) (
			out middleware.InitializeOutput, md middleware.Metadata, err error,
		) {
			out, md, err = next.HandleInitialize(ctx, in)
			if err != nil {
				err = newError(middleware.GetServiceID(ctx), middleware.GetOperationName(ctx), err)
			}
			return out, md, err
		}), middleware.Before)
}

func newError(service, operation string, err error) *Error {
	e := &Error{Service: service, Operation: operation, Message: plainText(err), err: err}
	if spent := (*retry.MaxAttemptsError)(nil); errors.As(err, &spent) {
		e.Attempts = spent.Attempt
	}
	if answer := interface{ ServiceRequestID() string }(nil); errors.As(err, &answer) {
		e.RequestID = answer.ServiceRequestID()
	}
	api := smithy.APIError(nil)
	if !errors.As(err, &api) {
		if errors.Is(err, rollout.ErrCredentials) {
			e.kind = rollout.ErrCredentials
		}
		return e
	}
	e.Code, e.Message = api.ErrorCode(), tidy(api.ErrorMessage())
	if e.kind = kindOfCode(e.Code); e.kind == nil && e.Code == "ValidationError" {
		e.kind = kindOfValidation(operation, e.Message)
	}
	return e
}

// about adds what a failed call was about.
func about(resource string, err error) error {
	e := (*Error)(nil)
	if err == nil || !errors.As(err, &e) {
		return err
	}
	named := *e
	named.Resource = resource
	return &named
}

// tidy keeps the part of AWS's message that is meant for people: a wrong
// signature is answered with the whole signed request, session token and all,
// a missing permission with a page of encoded text.
func tidy(message string) string {
	message, _, _ = strings.Cut(message, "\n")
	for _, tail := range []string{"The Canonical String", "Encoded authorization failure message"} {
		message, _, _ = strings.Cut(message, tail)
	}
	return strings.TrimSuffix(strings.TrimSpace(message), ".")
}

// plainText is an error in one line without the URL, whose query can be a
// signature.
func plainText(err error) string {
	if failed := (*setupError)(nil); errors.As(err, &failed) {
		return failed.text
	}
	if failed := (*url.Error)(nil); errors.As(err, &failed) {
		host := failed.URL
		if u, perr := url.Parse(failed.URL); perr == nil {
			host = u.Host
		}
		return fmt.Sprintf("reaching %s: %s", host, strings.Join(strings.Fields(failed.Err.Error()), " "))
	}
	return strings.Join(strings.Fields(err.Error()), " ")
}
