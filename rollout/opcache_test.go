package rollout_test

import (
	"strings"
	"testing"
	"testing/synctest"

	"github.com/wpbake/wpbake/node"
	"github.com/wpbake/wpbake/rollout"
)

// What nodes said of their opcache is told before the next release, and blocks
// none.
func TestDoctorTellsOfOpcache(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 2)
		const problem = "opcache.validate_timestamps=1: set it to 0"
		w.fleet.behave(func(f *fleet) { f.opcache = &node.Opcache{Enabled: true, Validate: true, Problems: []string{problem}} })
		doctor := func() []rollout.Finding {
			seen, err := w.engine(rollout.Options{}).Observe(w.ctx)
			if err != nil {
				t.Fatal(err)
			}
			return seen.Findings
		}
		if found := doctor(); len(found) > 0 {
			t.Errorf("before the first release: %+v", found)
		}
		w.released("v1")
		found := doctor()
		if len(found) != 1 || found[0].ID != "node/opcache" || found[0].Blocks || !strings.HasSuffix(found[0].Text, ": "+problem) {
			t.Errorf("%+v", found)
		}
		w.fleet.behave(func(f *fleet) { f.opcache = &node.Opcache{Enabled: true} })
		w.released("v2")
		if found := doctor(); len(found) > 0 {
			t.Errorf("good nodes: %+v", found)
		}
	})
}
