//go:build !linux

package runner

import (
	"context"
	"errors"
	"fmt"
	"runtime"

	"github.com/wpbake/wpbake/internal/localcloud/ec2"
)

// Runner starts machines, on Linux.
type Runner struct{}

// New says that machines need Linux: they take a loopback address each, and
// only Linux answers on all of 127.0.0.0/8.
func New(Options) (*Runner, error) {
	return nil, fmt.Errorf("starting machines on %s: %w", runtime.GOOS, errors.ErrUnsupported)
}

// Kind is the kind of machine that is started.
func (r *Runner) Kind() string { return "" }

// Start starts a machine.
func (r *Runner) Start(context.Context, ec2.Machine) (ec2.Process, error) {
	return nil, errors.ErrUnsupported
}
