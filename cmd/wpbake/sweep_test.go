package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/wpbake/wpbake/bake/inventory"
	"github.com/wpbake/wpbake/internal/cli"
	"github.com/wpbake/wpbake/internal/owner"
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

func TestSweptView(t *testing.T) {
	verdict := func(id string, remove bool, err error) inventory.Verdict {
		return inventory.Verdict{
			Resource: inventory.Resource{Kind: inventory.Snapshot, ID: id, Tags: map[string]string{owner.TagVersion: "v1", owner.TagRun: "r1"}},
			Remove:   remove, Reason: "because", Err: err,
		}
	}
	found := []inventory.Verdict{verdict("snap-1", true, nil), verdict("snap-2", true, errors.New("denied")), verdict("snap-3", false, nil)}
	view := sweptViewOf([]place{{name: "here", Swept: inventory.Swept{Found: found, Unseen: []inventory.Unseen{{Kind: inventory.KeyPair, Err: errors.New("x")}}}}}, false)
	if view.ToRemove != 2 || view.Removed != 1 || view.Kept != 1 || len(view.Unseen) != 1 {
		t.Errorf("view %+v", view)
	}
	if one := view.Found[1]; one.Place != "here" || one.Version != "v1" || one.Run != "r1" || one.Error != "denied" || !one.Remove {
		t.Errorf("found %+v", one)
	}
	if dry := sweptViewOf([]place{{Swept: inventory.Swept{Found: found}}}, true); dry.Removed != 0 || dry.ToRemove != 2 || !dry.DryRun {
		t.Errorf("a dry run %+v", dry)
	}
}

func TestSayVerdict(t *testing.T) {
	upload := inventory.Resource{Kind: inventory.Upload, ID: "u1", Name: "releases/v1/wordpress.tar.zst"}
	snapshot := inventory.Resource{Kind: inventory.Snapshot, ID: "snap-1"}
	for _, tt := range []struct {
		v    inventory.Verdict
		dry  bool
		want string
	}{
		{inventory.Verdict{Resource: snapshot, Remove: true, Reason: "old"}, false, "removed      snapshot snap-1 in here: old"},
		{inventory.Verdict{Resource: snapshot, Remove: true, Reason: "old"}, true, "would remove snapshot snap-1 in here: old"},
		{inventory.Verdict{Resource: snapshot, Remove: true, Reason: "old", Err: errors.New("denied")}, false, "failed       snapshot snap-1 in here: denied"},
		{inventory.Verdict{Resource: upload, Reason: "young"}, false, "kept         upload of releases/v1/wordpress.tar.zst in here: young"},
	} {
		out, got := recorder()
		sayVerdict(out, "here", tt.v, tt.dry)
		if got.String() != tt.want+"\n" {
			t.Errorf("%q, want %q", got.String(), tt.want)
		}
	}
}
