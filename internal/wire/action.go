// Package wire speaks AWS's wire protocols from the server's side: query,
// EC2 query, JSON and CBOR requests in, XML, JSON and CBOR answers out, and
// Signature Version 4. It knows encodings and nothing about what the calls do.
package wire

import (
	"context"
	"fmt"
)

// Actions are a service's operations by their wire name, such as
// "StartInstanceRefresh". Inputs and outputs are the AWS SDK's own types.
type Actions map[string]Action

// Action decodes into the value that NewInput returns and calls with it.
type Action struct {
	NewInput func() any
	Call     func(ctx context.Context, input any) (output any, err error)
}

// Handle adapts a typed operation.
func Handle[In, Out any](f func(context.Context, *In) (*Out, error)) Action {
	return Action{
		NewInput: func() any { return new(In) },
		Call: func(ctx context.Context, input any) (any, error) {
			out, err := f(ctx, input.(*In))
			if err != nil {
				return nil, err
			}
			return out, nil
		},
	}
}

// Error is an answer AWS would give: its wire code (the short one, such as
// "InstanceRefreshInProgress"), message and HTTP status (0 means 400).
type Error struct {
	Code    string
	Message string
	Status  int
	Reason  string // of the services that have one besides the code
}

func (e *Error) Error() string { return e.Code + ": " + e.Message }

// Errorf makes an Error with status 400.
func Errorf(code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...), Status: 400}
}
