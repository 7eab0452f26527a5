package images

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/wpbake/wpbake/ci/intercept"
	"github.com/wpbake/wpbake/internal/tier"
)

// otherRegion is where bakes of these tests are copied to.
const otherRegion = "eu-west-1"

// subject is a client behind an intercepting proxy, in a session of its own, so that it can be
// killed with all that it started.
type subject struct {
	s     *site
	proxy *intercept.Proxy
	args  []string
}

func (s *site) subject(args ...string) *subject {
	s.t.Helper()
	one, err := intercept.Start(s.variable("AWS_ENDPOINT_URL"))
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = one.Close() })
	return &subject{s, one, args}
}

// ended is how a subject came to its end.
type ended struct {
	affected bool // the signal was sent
	exit     int  // -1 when a signal ended it
	said     string
}

// run runs the subject. At the n-th call that matches the cloud does what is
// asked, and then the signal is sent before the answer arrives: SIGKILL to the
// whole session, SIGINT to the client's process group, as a terminal does.
// With n = 0 nothing happens.
func (v *subject) run(signal syscall.Signal, n int, matches func(intercept.Call) bool) ended {
	v.s.t.Helper()
	cmd := exec.Command(v.args[0], v.args[1:]...)
	cmd.Env = append(slices.Clone(v.s.environ), "AWS_ENDPOINT_URL="+v.proxy.URL())
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	cmd.WaitDelay = time.Second // what outlives the client holds its output
	started, affected := make(chan struct{}), make(chan struct{})
	v.proxy.Forget()
	if n > 0 {
		v.proxy.At(n, matches, func() bool {
			<-started // the client may call before this process knows its id
			defer close(affected)
			if signal == syscall.SIGKILL {
				killSession(cmd.Process.Pid)
				return false
			}
			_ = syscall.Kill(-cmd.Process.Pid, signal)
			return true
		})
	}
	if err := cmd.Start(); err != nil {
		v.s.t.Fatal(err)
	}
	close(started)
	stop := time.AfterFunc(5*time.Minute, func() { killSession(cmd.Process.Pid) })
	_ = cmd.Wait()
	stop.Stop()
	killSession(cmd.Process.Pid)
	v.proxy.Wait()
	e := ended{exit: cmd.ProcessState.ExitCode(), said: said.String()}
	select {
	case <-affected:
		e.affected = true
	default:
	}
	return e
}

// killSession kills every process of a session until there is none.
func killSession(id int) {
	for again := true; again; {
		again = false
		stats, _ := filepath.Glob("/proc/[0-9]*/stat")
		for _, name := range stats {
			stat, err := os.ReadFile(name)
			if err != nil {
				continue // it has ended
			}
			// After the program's name in parentheses: state, parent, group, session.
			fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
			if len(fields) < 4 || fields[3] != strconv.Itoa(id) || fields[0] == "Z" || fields[0] == "X" {
				continue
			}
			if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(name))); err == nil {
				again = syscall.Kill(pid, syscall.SIGKILL) == nil || again
			}
		}
	}
}

// leftovers counts what may not be there once nothing is being baked.
func (s *site) leftovers() map[string]int {
	s.t.Helper()
	counts := s.left()
	for _, region := range []string{"", otherRegion} {
		out, err := s.client.DescribeSnapshots(s.t.Context(), &ec2.DescribeSnapshotsInput{
			OwnerIds: []string{"self"}, Filters: []types.Filter{{Name: aws.String("status"), Values: []string{"pending", "error"}}},
		}, func(o *ec2.Options) {
			if region != "" {
				o.Region = region
			}
		})
		if err != nil {
			s.t.Fatal(err)
		}
		if len(out.Snapshots) > 0 {
			counts["unfinished snapshots"] += len(out.Snapshots)
		}
	}
	return counts
}

// sweep wants a sweep to leave nothing, and a second one to find nothing.
func (s *site) sweep() {
	s.t.Helper()
	args := []string{s.wpbake, "sweep", "--store", store, "--bake-regions", otherRegion}
	out := s.must(args...)
	if left := s.leftovers(); len(left) > 0 {
		s.t.Fatalf("the sweep left %v:\n%s", left, out)
	}
	if again := s.must(args...); !strings.HasPrefix(again, "no dead run left anything") {
		s.t.Fatalf("a second sweep found:\n%s", again)
	}
}

// collect removes everything that is finished, and wants n things to go.
func (s *site) collect(n int) {
	s.t.Helper()
	var done struct{ Removed, Kept int }
	out := s.must(s.wpbake, "gc", "--store", store, "--bake-regions", otherRegion, "--younger-than", "0s", "--json")
	if err := json.Unmarshal([]byte(out), &done); err != nil || done.Removed != n || done.Kept != 0 {
		s.t.Fatalf("of %d things gc says %s, %v", n, out, err)
	}
}

// drives matches the calls that make or look at things, not the store's.
func drives(c intercept.Call) bool { return c.Service == "ec2" || c.Service == "ebs" }

func namesOf(calls []intercept.Call) []string {
	var names []string
	for _, c := range calls {
		if drives(c) {
			names = append(names, c.Name)
		}
	}
	return names
}

// pad makes the tree large enough for several blocks of a release volume.
func (s *site) pad(size int) {
	s.t.Helper()
	noise := make([]byte, size)
	_, _ = rand.Read(noise) // never fails
	file := filepath.Join(s.dir, "tree", "wp-content", "themes", "shop", "noise.bin")
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		s.t.Fatal(err)
	}
	if err := os.WriteFile(file, noise, 0o644); err != nil {
		s.t.Fatal(err)
	}
}

// Killed after any call at all, a bake of a release volume leaves nothing that
// a sweep does not remove, and the same bake again succeeds. Interrupted, it
// leaves nothing unfinished by itself.
func TestVolumeBakeKilledAtEachCall(t *testing.T) {
	s := start(t)
	s.pad(3 << 20)
	s.publish()
	v := s.subject(s.wpbake, "bake", "v1", "--as", "volume", "--store", store, "--bake-regions", otherRegion)
	v.proxy.Hold("CompleteSnapshot", s.settled)
	if whole := v.run(0, 0, nil); whole.exit != 0 {
		t.Fatal(whole.said)
	}
	calls := namesOf(v.proxy.Calls())
	t.Logf("a whole bake calls %s", strings.Join(calls, ", "))
	for name, least := range map[string]int{"DescribeSnapshots": 2, "StartSnapshot": 1, "PutSnapshotBlock": 6, "CompleteSnapshot": 1, "CopySnapshot": 1} {
		if n := count(calls, name); n < least {
			t.Fatalf("a whole bake calls %s %d times, want %d", name, n, least)
		}
	}
	s.collect(2)
	for _, signal := range []syscall.Signal{syscall.SIGKILL, syscall.SIGINT} {
		for _, n := range places(calls, signal) {
			name := fmt.Sprintf("%s at call %d, %s", signal, n+1, calls[n])
			e := v.run(signal, n+1, drives)
			if !e.affected {
				t.Errorf("%s: never got there:\n%s", name, e.said)
			}
			if signal == syscall.SIGINT {
				if left := s.leftovers(); len(left) > 0 {
					t.Errorf("%s: left %v:\n%s", name, left, e.said)
				}
			} else if e.exit != -1 {
				t.Errorf("%s: it went on and ended with %d:\n%s", name, e.exit, e.said)
			}
			s.sweep()
			if again := v.run(0, 0, nil); again.exit != 0 {
				t.Fatalf("%s: the same bake again: %s", name, again.said)
			}
			s.collect(2)
		}
	}
}

// A copy to another region takes long on AWS. One that is pending when its bake
// dies is found in that region, and can be made again.
func TestVolumeBakeKilledWhileACopyIsPending(t *testing.T) {
	tier.Soak(t)
	s := start(t)
	s.publish()
	bake := []string{s.wpbake, "bake", "v1", "--as", "volume", "--store", store}
	s.must(bake...)
	v := s.subject(append(bake, "--bake-regions", otherRegion)...)
	s.must(s.wpbake, "local", "fault", "slow-snapshot", "--seconds", "600", "--dir", s.dir+"/cloud")
	e := v.run(syscall.SIGKILL, 1, func(c intercept.Call) bool { return c.Name == "CopySnapshot" })
	if left := s.leftovers(); !e.affected || left["unfinished snapshots"] != 1 || len(left) != 1 {
		t.Fatalf("left %v, want the copy alone:\n%s", left, e.said)
	}
	s.sweep()
	s.must(s.wpbake, "local", "fault", "clear", "--dir", s.dir+"/cloud")
	if again := v.run(0, 0, nil); again.exit != 0 {
		t.Fatal(again.said)
	}
	s.collect(2)
}

// some are the kinds of call at which a bake is killed and interrupted where
// there is no time for all: while it makes the thing, when it ends it, and when
// it begins the next.
var some = map[string][]string{
	"volume": {"PutSnapshotBlock", "CompleteSnapshot", "CopySnapshot"},
	"image":  {"RunInstances", provisioning, "CreateImage"},
}

// timeFor reports whether a bake of a kind is signalled at calls of a name.
func timeFor(kind, name string) bool { return tier.Soaking() || slices.Contains(some[kind], name) }

// places are the calls at which a bake is signalled: all of them, but of many
// blocks the first, one in the middle and the last; and the first of each name
// where the program ends by itself. Without make soak's time it is the first of
// some names.
func places(calls []string, signal syscall.Signal) (at []int) {
	first := slices.Index(calls, "PutSnapshotBlock")
	last := first + count(calls, "PutSnapshotBlock") - 1
	for n, name := range calls {
		switch {
		case !timeFor("volume", name):
			continue
		case n == slices.Index(calls, name):
		case signal == syscall.SIGINT:
			continue
		case !tier.Soaking(), name == "PutSnapshotBlock" && n != last && n != (first+last)/2:
			continue
		}
		at = append(at, n)
	}
	return at
}

func count(names []string, name string) (n int) {
	for _, one := range names {
		if one == name {
			n++
		}
	}
	return n
}

// provisioning is the moment when the build instance fetches the artifact.
const provisioning = "GET shop/releases/v1/wordpress.tar.zst"

// intercepted is wpbake as the build instance has it, calling through the proxy.
func (v *subject) intercepted() string {
	v.s.t.Helper()
	file := filepath.Join(v.s.dir, "intercepted-wpbake")
	script := fmt.Sprintf("#!/bin/sh\nAWS_ENDPOINT_URL=%s exec %s \"$@\"\n", v.proxy.URL(), v.s.wpbake)
	if err := os.WriteFile(file, []byte(script), 0o755); err != nil {
		v.s.t.Fatal(err)
	}
	return file
}

// settled returns once no image or snapshot is pending any more: whoever looks
// for one at once finds it finished, and does not wait for the next look, which
// Packer has after 15 seconds.
func (s *site) settled() {
	images := &ec2.DescribeImagesInput{Owners: []string{"self"}, Filters: []types.Filter{{Name: aws.String("state"), Values: []string{"pending"}}}}
	snapshots := &ec2.DescribeSnapshotsInput{OwnerIds: []string{"self"}, Filters: []types.Filter{{Name: aws.String("status"), Values: []string{"pending"}}}}
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for range 400 {
		found, err := s.client.DescribeImages(s.t.Context(), images)
		pending, other := s.client.DescribeSnapshots(s.t.Context(), snapshots)
		if err != nil || other != nil || len(found.Images)+len(pending.Snapshots) == 0 {
			return
		}
		<-tick.C
	}
}

// interrupts are calls at which a bake is interrupted. Packer removes what it
// has made, but it gives up a call that is under way: when it does not wait for
// the answer, it never hears of what the call made, and that is left to a sweep.
var interrupts = []struct {
	name  string
	clean bool // no call that makes something of its own is under way
}{
	{"CreateKeyPair", false}, {"CreateSecurityGroup", false}, {"RunInstances", false},
	{provisioning, true}, {"StopInstances", true}, {"CreateImage", true}, {"TerminateInstances", true},
}

// Killed after any kind of call, with Packer and its plugins, a bake of an AMI
// leaves nothing that a sweep does not remove. The same bake is started again
// each time and gets further than before; once there is an image, it ends.
func TestImageBakeKilledAtEachCall(t *testing.T) {
	s := start(t)
	s.publish()
	v := s.subject()
	v.args = s.bakeArgs("--bake-regions", otherRegion)
	v.args[slices.Index(v.args, "--packer-wpbake")+1] = v.intercepted()
	v.proxy.Hold("CreateImage", s.settled)
	whole := v.runPastCrash(0, 0, nil)
	if whole.exit != 0 {
		t.Fatal(whole.said)
	}
	var calls []string
	for _, c := range v.proxy.Calls() {
		if (drives(c) || c.Name == provisioning) && !slices.Contains(calls, c.Name) {
			calls = append(calls, c.Name)
		}
	}
	t.Logf("a whole bake calls %s", strings.Join(calls, ", "))
	for _, name := range []string{
		"CreateKeyPair", "CreateSecurityGroup", "AuthorizeSecurityGroupIngress", "RunInstances", provisioning, "StopInstances", "CreateImage",
		"CreateTags", "TerminateInstances", "DeleteSecurityGroup", "DeleteKeyPair", "CopyImage",
	} {
		if !slices.Contains(calls, name) {
			t.Fatalf("a whole bake does not call %s", name)
		}
	}
	s.collect(4)
	for _, name := range calls {
		if timeFor("image", name) {
			v.signalAt(syscall.SIGKILL, name, false)
		}
	}
	for _, one := range interrupts {
		if timeFor("image", one.name) {
			v.signalAt(syscall.SIGINT, one.name, one.clean)
		}
	}
}

// runPastCrash is run, once more where Packer crashed by itself: once in some
// hundred builds it does, whoever drives it, and that is not what is tested.
func (v *subject) runPastCrash(signal syscall.Signal, n int, matches func(intercept.Call) bool) ended {
	v.s.t.Helper()
	e := v.run(signal, n, matches)
	if !strings.Contains(e.said, "packer crashed") {
		return e
	}
	v.s.t.Logf("once more, after a crash of Packer:\n%s", e.said)
	v.s.sweep()
	return v.run(signal, n, matches)
}

// signalAt runs a bake that is signalled at the first call of a name, and sweeps.
// One that is clean leaves nothing to the sweep.
func (v *subject) signalAt(signal syscall.Signal, name string, clean bool) {
	v.s.t.Helper()
	e := v.runPastCrash(signal, 1, func(c intercept.Call) bool { return c.Name == name })
	if !e.affected {
		v.s.t.Errorf("%s at %s: never got there:\n%s", signal, name, e.said)
	}
	if strings.Contains(e.said, "nothing was changed") {
		v.s.t.Errorf("%s at %s: it says that nothing was changed:\n%s", signal, name, e.said)
	}
	if left := v.s.leftovers(); clean && len(left) > 0 {
		v.s.t.Errorf("%s at %s: left %v:\n%s", signal, name, left, e.said)
	}
	v.s.sweep()
	if len(v.s.ownImages("")) == 0 {
		return
	}
	if again := v.runPastCrash(0, 0, nil); again.exit != 0 {
		v.s.t.Fatalf("%s at %s: the same bake again: %s", signal, name, again.said)
	}
	v.s.collect(4)
}
