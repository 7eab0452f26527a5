package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/wpbake/wpbake/bake/inventory"
	"github.com/wpbake/wpbake/internal/cli"
	"github.com/wpbake/wpbake/rollout"
)

// What could not be removed, or not even be seen, is named: it costs money.
func TestNotSwept(t *testing.T) {
	gone := inventory.Verdict{Resource: inventory.Resource{Kind: inventory.Instance, ID: "i-1"}, Remove: true}
	stuck := inventory.Verdict{Resource: inventory.Resource{Kind: inventory.Volume, ID: "vol-1"}, Remove: true, Err: fmt.Errorf("calling DeleteVolume: %w", rollout.ErrDenied)}
	unseen := inventory.Unseen{Kind: inventory.KeyPair, Err: context.Canceled}
	if err := notSwept([]place{{Swept: inventory.Swept{Found: []inventory.Verdict{gone}}}}); err != nil {
		t.Errorf("all is removed: %v", err)
	}
	err := notSwept([]place{{name: "here", Swept: inventory.Swept{Found: []inventory.Verdict{gone, stuck}, Unseen: []inventory.Unseen{unseen}}}})
	if err == nil || err.Error() != "sweeping: these may still be there and cost money: volume vol-1, any key pair in here: calling DeleteVolume: permission denied" {
		t.Errorf("the error reads %v", err)
	}
	if hint := cli.HintOf(err); !strings.HasPrefix(hint, "aws sts get-caller-identity") || !strings.HasSuffix(hint, "; then wpbake sweep once more") {
		t.Errorf("hint %q", hint)
	}
	if errors.Is(err, context.Canceled) || cli.ExitCode(err) != cli.ExitUntouched {
		t.Errorf("exit code %d; a sweep that was interrupted has changed something", cli.ExitCode(err))
	}
}
