package e2e

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	astypes "github.com/aws/aws-sdk-go-v2/service/autoscaling/types"
	"github.com/wpbake/wpbake/internal/localcloud/control"
	"github.com/wpbake/wpbake/internal/tier"
)

// programs tells for each need of a test which programs satisfy it.
var programs = map[string][]string{
	"php":     {"php", "nginx", "memcached"},
	"mariadb": {"mariadbd", "mariadb-install-db"},
	"aws":     {"aws"},
}

// TestMain fails a run in which a wpbake with the race detector, most of all
// the local cloud, which nobody waits for, has found a race.
func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "wpbake-races-")
	if err == nil {
		err = os.Setenv("GORACE", "log_path="+filepath.Join(dir, "race"))
	}
	if err != nil {
		panic(err)
	}
	status := m.Run()
	races, _ := filepath.Glob(filepath.Join(dir, "*"))
	for _, name := range races {
		text, _ := os.ReadFile(name)
		fmt.Printf("FAIL: a data race in a program that was driven:\n%s\n", text)
		status = 1
	}
	os.RemoveAll(dir)
	os.Exit(status)
}

// need skips the test where a program is missing that it may do without.
func need(t *testing.T, needs ...string) {
	t.Helper()
	for _, n := range needs {
		for _, program := range programs[n] {
			_, err := exec.LookPath(server(program))
			tier.Need(t, n, err == nil)
		}
	}
}

// start builds wpbake and brings a stack up that the test's end removes. The
// runner of its nodes is overlay, plain, or "" for what this user may.
func start(t *testing.T, nodes int, runner string) *Stack {
	t.Helper()
	if out, err := exec.Command("../tree").CombinedOutput(); err != nil {
		t.Fatalf("making the WordPress tree: %v\n%s", err, out)
	}
	tree, err := filepath.Abs("../../.cache/wordpress/tree")
	if err != nil {
		t.Fatal(err)
	}
	o := options(t)
	o.Tree, o.Nodes, o.Runner = tree, nodes, runner
	stack, err := Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	removed(t, stack)
	return stack
}

// startCloud brings up a local cloud alone.
func startCloud(t *testing.T) *Stack {
	t.Helper()
	o := options(t)
	stack := &Stack{Dir: o.Dir, Program: o.Wpbake, log: o.Log}
	if err := errors.Join(os.Mkdir(o.Dir, 0o755), stack.startCloud(t.Context(), o)); err != nil {
		t.Fatal(err)
	}
	removed(t, stack)
	return stack
}

// options have a directory that any user may enter, and a wpbake built into it.
func options(t *testing.T) Options {
	t.Helper()
	dir, err := os.MkdirTemp("", "wpbake-e2e-")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(dir, "bin", "wpbake")
	args := slices.Concat([]string{"build", "-o", program}, tier.BuildFlags(), []string{"../../cmd/wpbake"})
	if out, err := exec.Command("go", args...).CombinedOutput(); err != nil {
		t.Fatalf("building wpbake: %v\n%s", err, out)
	}
	return Options{Dir: filepath.Join(dir, "stack"), Wpbake: program, Speed: 10, Log: t.Output()}
}

// removed stops a stack when the test ends, and removes it unless somebody
// should look at it.
func removed(t *testing.T, stack *Stack) {
	t.Cleanup(func() {
		if err := stack.Stop(); err != nil {
			t.Error(err)
		}
		dir := filepath.Dir(stack.Dir)
		if t.Failed() {
			t.Logf("logs are in %s", dir)
			return
		}
		if err := Remove(dir); err != nil {
			t.Error(err)
		}
	})
}

// TestAWSCLI has Amazon's own client do what needs no group.
func TestAWSCLI(t *testing.T) {
	tier.Test(t)
	t.Parallel()
	need(t, "aws")
	cloud := startCloud(t)
	for _, script := range []string{"template", "objects", "alarm"} {
		t.Run(script, func(t *testing.T) { awsCLI(t, cloud, script) })
	}
}

// awsCLI runs one of the scripts in awscli.
func awsCLI(t *testing.T, stack *Stack, script string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "awscli/"+script+".sh")
	cmd.Env = append(os.Environ(), "GROUP="+Group)
	for k, v := range stack.Environ {
		cmd.Env = append(cmd.Env, k+"="+v)
	}
	out, err := cmd.CombinedOutput()
	t.Logf("%s", out)
	if err != nil {
		t.Error(err)
	}
}

// under returns what a load saw from shortly before to shortly after act.
func under(t *testing.T, stack *Stack, clients Clients, act func(*Load)) Tally {
	t.Helper()
	load := NewLoad(stack.Site, Pages())
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		load.Run(ctx, clients, 100*time.Millisecond)
	}()
	defer cancel()
	await(t, func() error {
		if n := load.Peek().Requests; n < 20 {
			return fmt.Errorf("%d requests", n)
		}
		return nil
	})
	act(load)
	after := load.Peek().Requests
	await(t, func() error {
		if n := load.Peek().Requests; n < after+20 {
			return fmt.Errorf("%d requests", n-after)
		}
		return nil
	})
	cancel()
	<-done
	return load.Cut()
}

// await fails the test when ask is never content.
func await(t *testing.T, ask func() error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	if err := poll(ctx, 50*time.Millisecond, ask); err != nil {
		t.Fatal(err)
	}
}

// instances are those of the group, in whatever state.
func instances(t *testing.T, stack *Stack) []astypes.Instance {
	t.Helper()
	out, err := autoscaling.NewFromConfig(stack.AWS()).DescribeAutoScalingGroups(t.Context(),
		&autoscaling.DescribeAutoScalingGroupsInput{AutoScalingGroupNames: []string{Group}})
	if err != nil {
		t.Fatal(err)
	}
	return out.AutoScalingGroups[0].Instances
}

// nodes are the instances of the group that are in service.
func nodes(t *testing.T, stack *Stack) []string {
	t.Helper()
	var ids []string
	for _, i := range instances(t, stack) {
		if i.LifecycleState == astypes.LifecycleStateInService {
			ids = append(ids, *i.InstanceId)
		}
	}
	return ids
}

// retire ends one node as Auto Scaling does, draining first, and waits for
// the node that comes in its place.
func retire(t *testing.T, stack *Stack) {
	t.Helper()
	before := nodes(t, stack)
	_, err := autoscaling.NewFromConfig(stack.AWS()).TerminateInstanceInAutoScalingGroup(t.Context(),
		&autoscaling.TerminateInstanceInAutoScalingGroupInput{InstanceId: aws.String(before[0]), ShouldDecrementDesiredCapacity: aws.Bool(false)})
	if err != nil {
		t.Fatal(err)
	}
	await(t, func() error { return whole(before, nodes(t, stack), 1) })
}

// whole wants as many nodes as before, of which so many are others.
func whole(before, now []string, others int) error {
	same := 0
	for _, id := range before {
		if slices.Contains(now, id) {
			same++
		}
	}
	if len(now) < len(before) || same > len(before)-others {
		return fmt.Errorf("nodes %q, before %q", now, before)
	}
	return nil
}

// kill pulls the plug of all nodes but one: no process of theirs ends anything
// in order, and the load balancer still sends to them.
func kill(t *testing.T, stack *Stack) {
	t.Helper()
	for _, id := range nodes(t, stack)[1:] {
		r, err := control.Request(t.Context(), stack.Environ, "/_local/fault", fmt.Appendf(nil, `{"kind":"kill","target":%q}`, id))
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode >= 300 {
			t.Fatalf("killing %s: %s", id, resp.Status)
		}
	}
}
