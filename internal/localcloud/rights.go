package localcloud

import (
	"context"
	"net/http"

	"github.com/wpbake/wpbake/internal/localcloud/iam"
	"github.com/wpbake/wpbake/internal/localcloud/s3"
	"github.com/wpbake/wpbake/internal/wire"
)

// restrict keeps instances' roles from a service's actions that a node does
// not need.
func restrict(service string, actions wire.Actions) wire.Actions {
	restricted := wire.Actions{}
	for name, action := range actions {
		restricted[name] = wire.Action{NewInput: action.NewInput, Call: func(ctx context.Context, input any) (any, error) {
			if isRole(wire.SignatureOf(ctx).AccessKey) && !iam.NodeMay(service, name) {
				return nil, denied(service, name)
			}
			return action.Call(ctx, input)
		}}
	}
	return restricted
}

// mayUse is restrict for S3, which has no actions.
func mayUse(signature *wire.Signature, r *http.Request) bool {
	return !isRole(signature.AccessKey) || iam.NodeMay("s3", s3.Permission(r))
}

// denied is how a service says that a role lacks a right.
func denied(service, name string) *wire.Error {
	switch service {
	case "ec2":
		return &wire.Error{Code: "UnauthorizedOperation", Message: "You are not authorized to perform this operation.", Status: http.StatusForbidden}
	case "ssm":
		return wire.Errorf("AccessDeniedException", "An instance's role is not authorized to perform: %s:%s", service, name)
	case "ebs":
		return &wire.Error{Code: "AccessDeniedException", Message: "An instance's role is not authorized to perform: ebs:" + name,
			Status: http.StatusForbidden, Reason: "UNAUTHORIZED_ACCOUNT"}
	}
	return &wire.Error{Code: "AccessDenied", Message: "An instance's role is not authorized to perform: " + service + ":" + name, Status: http.StatusForbidden}
}
