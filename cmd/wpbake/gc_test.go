package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wpbake/wpbake/bake/inventory"
	"github.com/wpbake/wpbake/internal/cli"
	"github.com/wpbake/wpbake/rollout"
)

func TestGCOptions(t *testing.T) {
	for o, want := range map[gcOptions]bool{
		{keep: 1}:                        true,
		{keep: 0}:                        false,
		{keep: 5, younger: -time.Hour}:   false,
		{keep: 5, younger: defaultYoung}: true,
	} {
		if err := o.validate(); (err == nil) != want {
			t.Errorf("%+v: %v", o, err)
		}
	}
}

// What is left is named, for it costs money; an interruption among the causes
// does not read as if nothing had been changed.
func TestSayCollected(t *testing.T) {
	image := inventory.Resource{Kind: inventory.Image, ID: "ami-1"}
	removed := inventory.Verdict{Resource: image, Remove: true}
	kept := inventory.Verdict{Resource: image}
	failed := inventory.Verdict{Resource: image, Remove: true, Err: fmt.Errorf("deregistering: %w", context.Canceled)}
	denied := inventory.Verdict{Resource: image, Remove: true, Err: rollout.ErrDenied}
	for _, tt := range []struct {
		name      string
		found     []inventory.Verdict
		dry       bool
		said      string
		err, hint string
	}{
		{"nothing", nil, false, "no images or release volumes of this store in here, there\n", "", ""},
		{"done", []inventory.Verdict{removed, kept}, false, "1 thing removed, 1 kept\n", "", ""},
		{"dry", []inventory.Verdict{removed, kept}, true, "1 thing would be removed, 1 kept\n", "", ""},
		{"interrupted", []inventory.Verdict{failed}, false, "0 things removed, 0 kept\n", "removing what nothing needs: image ami-1 may still be there: ", "wpbake gc once more"},
		{"denied", []inventory.Verdict{denied}, false, "0 things removed, 0 kept\n", "image ami-1 may still be there", "aws sts get-caller-identity"},
	} {
		out, got := recorder()
		err := sayCollected(out, []collected{{"here", tt.found}, {"there", nil}}, tt.dry)
		if got.String() != tt.said {
			t.Errorf("%s: said %q, want %q", tt.name, got.String(), tt.said)
		}
		switch {
		case tt.err == "":
			if err != nil {
				t.Errorf("%s: %v", tt.name, err)
			}
		case !strings.Contains(err.Error(), tt.err), !strings.HasPrefix(cli.HintOf(err), tt.hint), errors.Is(err, context.Canceled):
			t.Errorf("%s: %v, hint %q", tt.name, err, cli.HintOf(err))
		}
	}
}

func TestGCRoots(t *testing.T) {
	got := gcRoots([]rollout.Root{{Why: "proven", Manifest: "sha256:1", Image: "ami-1", Snapshot: "snap-1", Templates: []rollout.TemplateRef{{ID: "lt-1", Version: "3"}}}})
	want := []inventory.Root{{Why: "proven", Manifest: "sha256:1", Image: "ami-1", Snapshot: "snap-1", Templates: []inventory.Template{{ID: "lt-1", Version: "3"}}}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("roots (-want +got):\n%s", diff)
	}
}
