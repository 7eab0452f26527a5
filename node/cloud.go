package node

import (
	"context"
	"errors"
)

// Metadata answers what an instance knows about itself.
type Metadata interface {
	// Instance asks the instance metadata service, version 2.
	Instance(ctx context.Context) (Identity, error)
}

// Identity is who this node is.
type Identity struct {
	Instance string // instance id, such as i-0123456789abcdef0
	Region   string
}

// Lifecycle speaks to the launch hook that keeps this node out of service
// until its boot has ended.
type Lifecycle interface {
	// Complete ends the wait. It is ErrNoAction when no action waits: not
	// yet, no longer, or never.
	Complete(ctx context.Context, c Completion) error
	// Heartbeat restarts the hook's timeout. ErrNoAction as in Complete.
	Heartbeat(ctx context.Context, a Action) error
}

// Action is one instance's wait for one hook.
type Action struct {
	Group    string // Auto Scaling group
	Hook     string // lifecycle hook
	Instance string // instance id
}

// Results of a Completion, as AWS spells them.
const (
	Continue = "CONTINUE" // put the node into service
	Abandon  = "ABANDON"  // terminate it
)

// Completion is a node's word to its hook.
type Completion struct {
	Action
	Result string // Continue or Abandon
}

// Parameters reads SSM Parameter Store.
type Parameters interface {
	// Get returns every parameter below path, decrypted. Keys are names
	// relative to path; whole names are understood as well.
	Get(ctx context.Context, path string) (map[string]string, error)
}

// ErrNoAction is Lifecycle's answer when the hook has no waiting action for
// the instance: AWS's "No active Lifecycle Action found".
var ErrNoAction = errors.New("no active lifecycle action")
