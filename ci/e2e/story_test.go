package e2e

import (
	"testing"

	"github.com/wpbake/wpbake/internal/tier"
)

// phase is a part of the story: what it begins with is what the one before has
// left, a group that serves v1.
type phase struct {
	name  string
	test  func(*fleet, *testing.T)
	long  bool // make soak alone has the time
	disks bool // nodes need disks of their own
}

// phases are in this order: what changes the group's template by hand comes
// before wpbake does, and what changes the database for good comes last. Who
// needs a real stack adds a phase.
func phases() []phase {
	return []phase{
		{name: "the AWS CLI refreshes the group", test: (*fleet).testAWSCLI, long: true},
		{name: "the demo", test: (*fleet).testDemo},
		{name: "a release and a rollback under load", test: (*fleet).testRoll},
		{name: "what a check refuses", test: (*fleet).testRefused},
		{name: "a theme that is gone", test: (*fleet).testTheme, long: true},
		{name: "a plugin that does not parse", test: (*fleet).testBroken, long: true}, // the demo has one
		{name: "the database is away during a roll", test: (*fleet).testDatabaseAway},
		{name: "a release volume", test: (*fleet).testVolume, disks: true},
		{name: "PHP cannot write its code", test: (*fleet).testReadOnly, disks: true},
		{name: "a node that drains is not missed", test: (*fleet).testDrained},
		{name: "control: nodes killed without draining are missed", test: (*fleet).controlKilled},
		{name: "control: a health check that asks the database", test: (*fleet).controlDeepCheck, long: true},
		{name: "control: no time to drain", test: (*fleet).controlNoDrain, long: true},
		{name: "control: sessions on the node", test: (*fleet).controlSessions, long: true},
		{name: "a newer WordPress and back", test: (*fleet).testNewerWordPress},
	}
}

// TestStory has one stack for all that needs one, because it is dear. Each claim
// about load has a control that must fail.
func TestStory(t *testing.T) {
	tier.Test(t)
	t.Parallel() // it mostly waits
	need(t, "php", "mariadb")
	newFleet(t, "").tell(t)
}

// TestFleet tells all of the story to nodes of either kind.
func TestFleet(t *testing.T) {
	tier.Soak(t)
	need(t, "php", "mariadb")
	for _, runner := range []string{"plain", "overlay"} {
		t.Run(runner, func(t *testing.T) {
			if runner == "overlay" {
				tier.Root(t)
			}
			newFleet(t, runner).tell(t)
		})
	}
}

// tell runs the phases for which there is time, up to the first that fails:
// what follows needs the fleet as it should be.
func (f *fleet) tell(t *testing.T) {
	for _, p := range phases() {
		if p.long && !tier.Soaking() {
			continue
		}
		ok := t.Run(p.name, func(t *testing.T) {
			if p.disks && !f.disks() {
				t.Skip("these nodes have no disks of their own")
			}
			p.test(f, t)
		})
		if !ok {
			return
		}
	}
}

// testAWSCLI has Amazon's own client refresh the group before wpbake does.
func (f *fleet) testAWSCLI(t *testing.T) {
	need(t, "aws")
	awsCLI(t, f.stack, "refresh")
}

// testDemo is what make demo shows.
func (f *fleet) testDemo(t *testing.T) {
	d := NewDemo(f.stack, t.Output())
	err := d.Tell(t.Context())
	d.Table()
	if err != nil {
		t.Fatal(err)
	}
	if err := f.stack.Tree.RemovePlugin("winter-sale"); err != nil {
		t.Fatal(err)
	}
	f.on(t).serves("v1")
}

// testDrained ends a node as Auto Scaling does.
func (f *fleet) testDrained(t *testing.T) {
	unharmed(t, under(t, f.stack, Clients{Browsers: 4, Sessions: 1}, func(*Load) { retire(t, f.stack) }))
}

// controlKilled pulls the plug of nodes: the load client must see it.
func (f *fleet) controlKilled(t *testing.T) {
	s := f.on(t)
	before := nodes(t, s.stack)
	// As many at once that some are always on their way through a node.
	tally := under(t, s.stack, Clients{Browsers: 24}, func(*Load) { kill(t, s.stack) })
	t.Logf("%d of %d requests failed", tally.Failed, tally.Requests)
	if tally.Failed == 0 {
		t.Errorf("no failure in %d requests: the load client is blind", tally.Requests)
	}
	s.replaced(before, len(before)-1)
}

// replaced waits until so many of these nodes are gone and the group is whole.
func (s *shop) replaced(before []string, gone int) {
	t := s.t
	t.Helper()
	await(t, func() error {
		now := nodes(t, s.stack)
		return whole(before, now, gone)
	})
	if err := s.stack.awaitHealthy(t.Context(), len(before), s.targets()); err != nil {
		t.Fatal(err)
	}
}
