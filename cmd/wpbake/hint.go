package main

import (
	"context"
	"errors"

	"github.com/wpbake/wpbake/artifact"
	"github.com/wpbake/wpbake/bake"
)

// hintOf returns what to do about an error: the outermost hint that says
// something, else one by what the error means.
func hintOf(err error) string {
	for e := err; e != nil; {
		var own interface {
			error
			Hint() string
		}
		if !errors.As(e, &own) {
			break
		}
		if h := own.Hint(); h != "" {
			return h
		}
		e = errors.Unwrap(own)
	}
	switch {
	case errors.Is(err, bake.ErrCredentials), errors.Is(err, artifact.ErrCredentials):
		return "renew the AWS credentials, then the same command again"
	case errors.Is(err, bake.ErrDenied), errors.Is(err, artifact.ErrDenied):
		return "aws sts get-caller-identity shows who asks; its role misses the operation named above"
	case errors.Is(err, artifact.ErrNoBucket):
		return "--store s3://BUCKET/PREFIX; aws s3 mb s3://BUCKET makes a bucket"
	case errors.Is(err, bake.ErrNoGroup):
		return "--group NAME; aws autoscaling describe-auto-scaling-groups lists them"
	case errors.Is(err, context.Canceled):
		return "nothing was changed; the same command again starts over"
	}
	return ""
}
