package node

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
)

// named is a metadata service that gives one id, whatever it is.
type named string

func (n named) Instance(context.Context) (Identity, error) {
	return Identity{Instance: string(n), Region: "eu-central-1"}, nil
}

// TestAnAnswerThatIsNoInstanceNamesNoNode: the id goes on into the name of a
// report and into command lines, so that what is no id is never taken for one.
func TestAnAnswerThatIsNoInstanceNamesNoNode(t *testing.T) {
	t.Parallel()
	for _, id := range []string{"", "i-1", "i-0123456789ABCDEF0", "i-0123456789abcdef0/../i-0123456789abcdef1", "i-0123456789abcdef0\n", "<html>"} {
		synctest.Test(t, func(t *testing.T) {
			j := &journal{}
			err := identity{named(id), j}.find(t.Context())
			if err == nil || !strings.Contains(err.Error(), "is no instance id") || j.report.Instance != "" {
				t.Errorf("of %q: %v, the node is %q", id, err, j.report.Instance)
			}
			// The hook is nil: one that is asked in spite of the id fails the test.
			if told, err := Ready(t.Context(), named(id), nil, Action{Group: "shop", Hook: "wpbake-boot"}); told || err == nil {
				t.Errorf("ready as %q: told %v, %v", id, told, err)
			}
		})
	}
	j := &journal{}
	if err := (identity{named("i-0123456789abcdef0"), j}).find(t.Context()); err != nil || j.report.Instance != "i-0123456789abcdef0" {
		t.Errorf("%v, the node is %q", err, j.report.Instance)
	}
}
