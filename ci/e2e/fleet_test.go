package e2e

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	elb "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	elbtypes "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"
)

// fleetSteps is how many requests, and how many steps of sessions and carts,
// the releases of a fleet must come through.
const fleetSteps = 2000

// fleet is a shop of three nodes with the fixture plugins.
type fleet struct {
	*shop
	runner string
}

func newFleet(t *testing.T, runner string) *fleet {
	t.Helper()
	stack := start(t, 3, runner)
	f := &fleet{newShop(t, stack), runner}
	f.activate("wpb-shop", "wpb-filewriter", "wpb-broken", "wpb-php99", "winter-sale")
	for _, plugin := range []string{"wpb-shop", "wpb-filewriter"} {
		if err := stack.Tree.AddPlugin(plugin); err != nil {
			t.Fatal(err)
		}
	}
	return f
}

// disks reports whether the nodes have disks of their own.
func (f *fleet) disks() bool { return f.runner == "overlay" || f.runner == "" && os.Geteuid() == 0 }

// testRoll releases a plugin that changes its table and goes back, under load
// that buys: with the demo's, all that a rollout is.
func (f *fleet) testRoll(t *testing.T) {
	s := f.on(t)
	v1, v12 := s.release(), ""
	tally := under(t, s.stack, Clients{Browsers: 2, Sessions: 2, Carts: 4}, func(load *Load) {
		if err := s.stack.Tree.EditTheme("Winter is here."); err != nil {
			t.Fatal(err)
		}
		if err := s.stack.Tree.UpgradeShop(); err != nil {
			t.Fatal(err)
		}
		s.run(0, "release", "v12")
		v12 = s.release()
		s.run(0, "rollback")
		await(t, func() error {
			if n := load.Peek(); n.Requests < fleetSteps || n.Sessions+n.Carts < fleetSteps {
				return fmt.Errorf("%d requests, %d visits and %d steps of carts", n.Requests, n.Sessions, n.Carts)
			}
			return nil
		})
	})
	t.Logf("%d requests, %d visits in sessions, %d steps of carts, by release %v", tally.Requests, tally.Sessions, tally.Carts, tally.Releases)
	unharmed(t, tally)
	if v1 == v12 || tally.Releases[v1] == 0 || tally.Releases[v12] == 0 {
		t.Errorf("clients met the releases %v, want both %s and %s", tally.Releases, v1, v12)
	}
	s.serves("v1")
	// Older code leaves the plugin's table as newer code made it, and sells.
	if got := s.value("SELECT option_value FROM wp_options WHERE option_name = 'wpb_shop_version'"); got != "2.0.0" {
		t.Errorf("the shop's table has version %s", got)
	}
	if got := s.value("SELECT COUNT(*) FROM wp_wpb_orders WHERE gift = 0 AND items = " + fmt.Sprint(cartSize)); got == "0" || got != s.value("SELECT COUNT(*) FROM wp_wpb_orders") {
		t.Errorf("%s orders are of a whole cart", got)
	}
}

// unharmed wants nothing lost and nothing failed.
func unharmed(t *testing.T, tally Tally) {
	t.Helper()
	if tally.Failed != 0 || tally.Lost != 0 {
		t.Errorf("%d of %d requests failed, %d of %d visits and %d steps of carts were lost:\n%s", tally.Failed, tally.Requests,
			tally.Lost, tally.Sessions, tally.Carts, strings.Join(tally.Failures, "\n"))
	}
}

// docroot is where a node's release is, for its shell.
const docroot = "/srv/wordpress/current/wordpress/"

// testReadOnly has PHP write where its code is, as a web shell would, on nodes
// that hold the release in either form.
func (f *fleet) testReadOnly(t *testing.T) {
	all := nodes(t, f.stack)
	t.Run("image", func(t *testing.T) {
		s := f.on(t)
		if form := s.form(all[0]); form != "erofs" {
			t.Skipf("this kernel mounts no image: the release lies on %s", form)
		}
		s.cannotWrite(all[0])
		// Not even who may write everything.
		s.wants(s.command(all[0], "touch /tmp/by-root && ! touch "+docroot+"by-root 2>&1"), "Read-only file system")
	})
	t.Run("directory", func(t *testing.T) {
		s := f.on(t)
		// A node that is told otherwise boots its release again.
		s.command(all[1], `set -eu
echo 'as: dir' >>/etc/wpbake/node.yaml
! mountpoint -q /srv/wordpress/current/ || umount -l "$(readlink -f /srv/wordpress/current)"
rm -f /srv/wordpress/images/*
sh /var/lib/cloud/instance/scripts/*wpbake-boot.sh`)
		if form := s.form(all[1]); form == "erofs" {
			t.Fatal("the release is still an image")
		}
		s.cannotWrite(all[1])
		s.command(all[1], "touch "+docroot+"by-root") // the control: root could
	})
}

// form is the kind of file system that a node's release lies on.
func (s *shop) form(node string) string {
	s.t.Helper()
	return s.command(node, "findmnt --noheadings --output FSTYPE --target "+docroot)
}

// cannotWrite has PHP on a node try, as the user it runs as.
func (s *shop) cannotWrite(node string) {
	s.t.Helper()
	address := "http://" + s.command(node, "echo $INSTANCE_ADDRESS") + ":8080"
	_, body := s.ask(address + "/wpb-write")
	for _, place := range []string{"own", "itself", "cache", "root"} {
		if !strings.Contains(body, place+": Permission denied") && !strings.Contains(body, place+": Read-only file system") {
			s.t.Errorf("a write to %q was not refused:\n%s", place, body)
		}
	}
	// The control: it is not that this PHP cannot write at all.
	s.wants(body, "temporary: written")
	if status, body := s.ask(address + "/wpb-shell.php"); strings.Contains(body, "from outside") {
		s.t.Errorf("the shell answers, with status %d: %s", status, body)
	}
	if got := s.command(node, "find "+docroot+` \( ! -user root -o -perm /022 \) -print -quit`); got != "" {
		s.t.Errorf("%s is not root's alone to write", got)
	}
}

// testRefused wants what a check finds to leave the fleet alone.
func (f *fleet) testRefused(t *testing.T) {
	s := f.on(t)
	t.Run("a tree in maintenance", func(t *testing.T) {
		s := f.on(t)
		out := filepath.Join(s.stack.Dir, "built")
		name := filepath.Join(string(s.stack.Tree), ".maintenance")
		if err := os.WriteFile(name, []byte("<?php $upgrading = time();\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		stdout, stderr := s.run(1, "build", "v9", "--out", out)
		s.wants(stdout+stderr, "T17", ".maintenance")
		if _, err := os.Stat(out); !os.IsNotExist(err) {
			t.Errorf("something was built: %v", err)
		}
		if err := os.Remove(name); err != nil {
			t.Fatal(err)
		}
		s.run(0, "build", "v9", "--out", out) // the control
	})
	t.Run("a plugin that does not parse", func(t *testing.T) {
		s := f.on(t)
		s.with("wpb-broken", func() {
			stdout, stderr := s.run(1, "release", "v8", "--check-php", "php")
			s.wants(stdout+stderr, "T15", "wp-content/plugins/wpb-broken/wpb-broken.php")
		})
	})
	t.Run("a plugin for another PHP", func(t *testing.T) {
		s := f.on(t)
		facts := filepath.Join(s.stack.Dir, "database.json")
		if err := os.WriteFile(facts, []byte(`{"active_plugins": ["wpb-php99/wpb-php99.php"]}`), 0o644); err != nil {
			t.Fatal(err)
		}
		s.with("wpb-php99", func() {
			args := []string{"check", string(s.stack.Tree), "--database", facts, "--check-node-php"}
			stdout, _ := s.run(1, append(args, "8.2")...)
			s.wants(stdout, "R02", "wp-content/plugins/wpb-php99/wpb-php99.php")
			s.run(0, append(args, "9.9")...) // the control
		})
	})
	s.serves("v1")
}

// with has one plugin more in the tree for as long as act takes.
func (s *shop) with(plugin string, act func()) {
	s.t.Helper()
	if err := s.stack.Tree.AddPlugin(plugin); err != nil {
		s.t.Fatal(err)
	}
	defer func() {
		if err := s.stack.Tree.RemovePlugin(plugin); err != nil {
			s.t.Error(err)
		}
	}()
	act()
}

// testTheme releases a tree without the active theme: refused, and when that
// is overruled, turned back by the gate although WordPress answers 200.
func (f *fleet) testTheme(t *testing.T) {
	s := f.on(t)
	theme := filepath.Join(string(s.stack.Tree), "wp-content/themes/twentytwentythree")
	if err := os.Rename(theme, theme+"-old"); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := os.Rename(theme+"-old", theme); err != nil {
			t.Error(err)
		}
	}()
	_, stderr := s.run(4, "release", "v13")
	s.wants(stderr, "X05 theme")
	// The gate objects to an empty body only after the status was right.
	s.turnedBack("empty body", "release", "v13", "--accept-incompatible")
}

// testBroken releases an active plugin that PHP cannot parse. The shop's
// configuration has no PHP look at the tree.
func (f *fleet) testBroken(t *testing.T) {
	s := f.on(t)
	s.with("wpb-broken", func() { s.turnedBack("PHP Parse error", "release", "v14") })
}

// turnedBack wants a bad release to be told from its reason and rolled back,
// and no client to have met it.
func (s *shop) turnedBack(reason string, args ...string) {
	s.t.Helper()
	good := s.release()
	tally := under(s.t, s.stack, Clients{Browsers: 3, Sessions: 1, Carts: 1}, func(*Load) {
		stdout, stderr := s.run(3, args...)
		s.wants(stdout+stderr, reason)
	})
	unharmed(s.t, tally)
	if seen := slices.Collect(maps.Keys(tally.Releases)); !slices.Equal(seen, []string{good}) {
		s.t.Errorf("clients met the releases %q, want %q alone", seen, good)
	}
	s.serves("v1")
}

// testDatabaseAway stops the database once a release has launched a node.
func (f *fleet) testDatabaseAway(t *testing.T) {
	s := f.on(t)
	before := nodes(t, s.stack)
	release := make(chan ended, 1)
	go func() { release <- s.wpbake("release", "v15") }()
	await(t, func() error {
		if now := instances(t, s.stack); len(now) == len(before) {
			return fmt.Errorf("%d nodes", len(now))
		}
		return nil
	})
	s.stack.StopDatabase()
	if status, _ := s.get("/"); status != 500 {
		t.Errorf("without its database the shop answers %d", status)
	}
	end := <-release
	after := nodes(t, s.stack)
	if err := s.stack.StartDatabase(t.Context()); err != nil {
		t.Fatal(err)
	}
	if end.code != 3 {
		t.Errorf("the release ended with code %d\n%s%s", end.code, end.stdout, end.stderr)
	}
	if !slices.Equal(before, after) {
		t.Errorf("nodes %q, before %q", after, before)
	}
	unharmed(t, under(t, s.stack, Clients{Browsers: 3, Sessions: 1, Carts: 1}, func(*Load) {}))
	s.serves("v1")
}

// controlDeepCheck has the load balancer ask for a page of WordPress: then a
// database that is away takes nodes with it.
func (f *fleet) controlDeepCheck(t *testing.T) {
	s := f.on(t)
	before := nodes(t, s.stack)
	check := func(path string) {
		t.Helper()
		_, err := elb.NewFromConfig(s.stack.AWS()).ModifyTargetGroup(t.Context(), &elb.ModifyTargetGroupInput{
			TargetGroupArn: aws.String(s.targets()), HealthCheckPath: &path})
		if err != nil {
			t.Fatal(err)
		}
	}
	check("/")
	s.stack.StopDatabase()
	await(t, func() error {
		now := nodes(t, s.stack)
		if slices.Equal(now, before) {
			return fmt.Errorf("no node of %q was terminated", now)
		}
		return nil
	})
	check("/wpb-health")
	if err := s.stack.StartDatabase(t.Context()); err != nil {
		t.Fatal(err)
	}
	await(t, func() error {
		if now := nodes(t, s.stack); len(now) < len(before) {
			return fmt.Errorf("nodes %q", now)
		}
		return nil
	})
	if err := s.stack.awaitHealthy(t.Context(), len(before), s.targets()); err != nil {
		t.Fatal(err)
	}
}

// controlNoDrain leaves no time to drain: requests under way end with the node.
func (f *fleet) controlNoDrain(t *testing.T) {
	s := f.on(t)
	s.drain("0")
	defer s.drain("20")
	// As many at once that some are always on their way through a node.
	tally := under(t, s.stack, Clients{Browsers: 24}, func(*Load) { retire(t, s.stack) })
	t.Logf("%d of %d requests failed", tally.Failed, tally.Requests)
	if tally.Failed == 0 {
		t.Errorf("no failure in %d requests: the load client is blind", tally.Requests)
	}
}

// controlSessions keeps sessions in files, as PHP does unless told otherwise.
func (f *fleet) controlSessions(t *testing.T) {
	s := f.on(t)
	for _, node := range nodes(t, s.stack) {
		s.command(node, `set -eu
conf=$INSTANCE_ROOT/etc/wpbake/php-fpm.conf
sessions=$INSTANCE_ROOT/var/sessions
mkdir -m 0777 "$sessions"
sed -i -e 's|\(session.save_handler.\) = .*|\1 = files|' -e "s|\(session.save_path.\) = .*|\1 = $sessions|" "$conf"
kill -USR2 "$(cat "$INSTANCE_ROOT/run/php-fpm.pid")"`)
	}
	tally := under(t, s.stack, Clients{Sessions: 2, Carts: 4}, func(*Load) { retire(t, s.stack) })
	t.Logf("%d of %d visits and %d steps of carts were lost", tally.Lost, tally.Sessions, tally.Carts)
	if tally.Lost == 0 {
		t.Errorf("nothing was lost in %d visits and %d steps of carts: the load client is blind", tally.Sessions, tally.Carts)
	}
}

// targets names the target group.
func (s *shop) targets() string {
	s.t.Helper()
	out, err := elb.NewFromConfig(s.stack.AWS()).DescribeTargetGroups(s.t.Context(), &elb.DescribeTargetGroupsInput{Names: []string{Group}})
	if err != nil {
		s.t.Fatal(err)
	}
	return *out.TargetGroups[0].TargetGroupArn
}

// drain sets for how many seconds of AWS's clock a node drains.
func (s *shop) drain(seconds string) {
	s.t.Helper()
	_, err := elb.NewFromConfig(s.stack.AWS()).ModifyTargetGroupAttributes(s.t.Context(), &elb.ModifyTargetGroupAttributesInput{
		TargetGroupArn: aws.String(s.targets()),
		Attributes:     []elbtypes.TargetGroupAttribute{{Key: aws.String("deregistration_delay.timeout_seconds"), Value: &seconds}}})
	if err != nil {
		s.t.Fatal(err)
	}
}
