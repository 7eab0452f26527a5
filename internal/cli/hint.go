package cli

import (
	"errors"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/wpbake/wpbake/artifact"
	"github.com/wpbake/wpbake/rollout"
)

// Misuse is a wrong command line, environment or configuration. The hint is a
// line that would work, or where to read one.
func Misuse(err error, hint string) error { return &usageError{err, hint} }

// Usage is a wrong command line whose help tells the right one.
func Usage(cmd *cobra.Command, err error) error { return Misuse(err, cmd.CommandPath()+" --help") }

// Hinted is a failure with a word on what to run next.
func Hinted(err error, hint string) error { return &hintedError{err, hint} }

type usageError struct {
	err  error
	hint string
}

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }
func (e *usageError) Hint() string  { return e.hint }
func (e *usageError) Misuse() bool  { return true }

type hintedError struct {
	err  error
	hint string
}

func (e *hintedError) Error() string { return e.err.Error() }
func (e *hintedError) Unwrap() error { return e.err }
func (e *hintedError) Hint() string  { return e.hint }

// HintOf returns what to do about an error: the outermost hint that says
// something, else one by what the error means.
func HintOf(err error) string {
	if h := ownHint(err); h != "" {
		return h
	}
	switch {
	case errors.Is(err, rollout.ErrCredentials), errors.Is(err, artifact.ErrCredentials):
		return "renew the AWS credentials, then the same command again"
	case errors.Is(err, rollout.ErrDenied), errors.Is(err, artifact.ErrDenied):
		return "aws sts get-caller-identity shows who asks; its role misses the operation named above"
	case errors.Is(err, artifact.ErrNoBucket):
		return "--store s3://BUCKET/PREFIX; aws s3 mb s3://BUCKET makes a bucket"
	case errors.Is(err, rollout.ErrNoGroup):
		return "--group NAME; aws autoscaling describe-auto-scaling-groups lists them"
	case errors.Is(err, errInterrupted):
		return "nothing was changed; the same command again starts over"
	case errors.Is(err, syscall.ENOSPC):
		return "free some space; TMPDIR names another disk for scratch files"
	case errors.Is(err, syscall.EROFS):
		return "name a directory that can be written to; TMPDIR is for scratch files"
	}
	return ""
}

// ownHint asks an error, then those that it wraps, for a hint.
func ownHint(err error) string {
	if own, ok := err.(interface{ Hint() string }); ok {
		if h := own.Hint(); h != "" {
			return h
		}
	}
	var within []error
	switch e := err.(type) {
	case interface{ Unwrap() error }:
		within = []error{e.Unwrap()}
	case interface{ Unwrap() []error }:
		within = e.Unwrap()
	}
	for _, inner := range within {
		if h := ownHint(inner); h != "" {
			return h
		}
	}
	return ""
}
