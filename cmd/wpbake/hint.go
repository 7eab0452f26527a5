package main

import (
	"context"
	"errors"

	"github.com/aws/smithy-go"

	"github.com/wpbake/wpbake/bake"
)

// hintOf returns what to do about an error: its own hint, else one by what AWS
// answered.
func hintOf(err error) string {
	var own interface{ Hint() string }
	if errors.As(err, &own) {
		return own.Hint()
	}
	switch {
	case errors.Is(err, bake.ErrCredentials):
		return credentialsHint
	case errors.Is(err, bake.ErrDenied):
		return deniedHint
	case errors.Is(err, bake.ErrNoGroup):
		return "--group NAME; aws autoscaling describe-auto-scaling-groups lists them"
	case errors.Is(err, context.Canceled):
		return "nothing was changed; the same command again starts over"
	}
	var answer smithy.APIError
	if errors.As(err, &answer) {
		return answerHint(answer.ErrorCode())
	}
	return ""
}

const (
	credentialsHint = "renew the AWS credentials, then the same command again"
	deniedHint      = "aws sts get-caller-identity shows who asks; its role misses the operation named above"
)

// answerHint knows the codes that S3 and STS answer to wrong set-ups.
func answerHint(code string) string {
	switch code {
	case "ExpiredToken", "ExpiredTokenException", "RequestExpired", "InvalidAccessKeyId", "InvalidClientTokenId", "UnrecognizedClientException", "SignatureDoesNotMatch":
		return credentialsHint
	case "AccessDenied", "AccessDeniedException", "UnauthorizedOperation":
		return deniedHint
	case "NoSuchBucket":
		return "--store s3://BUCKET/PREFIX; aws s3 mb s3://BUCKET makes a bucket"
	case "PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException":
		return "--region REGION names the bucket's region"
	}
	return ""
}
