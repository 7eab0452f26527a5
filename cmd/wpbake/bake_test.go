package main

import (
	"maps"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wpbake/wpbake/internal/aws"
	"github.com/wpbake/wpbake/internal/cli"
	"github.com/wpbake/wpbake/internal/owner"
	"github.com/wpbake/wpbake/rollout"
)

func TestBakedText(t *testing.T) {
	volume := rollout.Baked{Volume: &rollout.Volume{Snapshot: "snap-1"}}
	for want, b := range map[string]baked{
		"release volume of v1: snap-1":                  {Baked: volume},
		"release volume of v1 is there already: snap-1": {Baked: volume, reused: true},
		"image of v1: ami-1":                            {Baked: rollout.Baked{Image: "ami-1"}},
	} {
		if got := b.text("v1"); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestPackerVariables(t *testing.T) {
	t.Setenv("AWS_ACCESS_KEY_ID", "x")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "x")
	clients, err := aws.Load(t.Context(), aws.Options{Region: "eu-central-1"})
	if err != nil {
		t.Fatal(err)
	}
	cfg := cli.Config{Store: "s3://releases/shop"}
	cfg.Bake = cli.BakeConfig{As: cli.AsAMI, Timeout: 10 * time.Minute}
	cfg.Packer = cli.PackerConfig{InstanceType: "t4g.small", SSHPort: 2222}
	b := baking{
		baker: baker{cfg: cfg, clients: clients}, version: "v1",
		owner: owner.Tags{Run: "r1", Holder: owner.Holder{Name: "ci@host"}, Expires: time.Date(2026, 11, 26, 5, 0, 0, 0, time.FixedZone("", 3600))},
	}
	want := map[string]string{
		"version": "v1", "store": "s3://releases/shop", "region": "eu-central-1", "run": "r1", "holder": "ci@host",
		"expires": "2026-11-26T04:00:00Z", "lifetime": "900", "local_wpbake": "/bin/wpbake", "instance_type": "t4g.small", "ssh_port": "2222",
	}
	got := b.variables("/bin/wpbake")
	maps.DeleteFunc(got, func(_, value string) bool { return value == "" })
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("variables (-want +got):\n%s", diff)
	}
}

func TestParseImages(t *testing.T) {
	got, err := parseImages([]string{"eu-central-1:ami-1", "eu-west-1:ami-2"})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]string{"eu-central-1": "ami-1", "eu-west-1": "ami-2"}, got); diff != "" {
		t.Errorf("images (-want +got):\n%s", diff)
	}
	for _, bad := range []string{"ami-1", "eu-central-1:i-1", ""} {
		if _, err := parseImages([]string{bad}); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}

// A second interrupt is waited for only once the first one came.
func TestSecondInterruptIsOverWithItsCommand(t *testing.T) {
	out, _ := recorder()
	force, done := secondInterrupt(t.Context(), out)
	done()
	select {
	case <-force:
		t.Error("nobody asked for force")
	default:
	}
}

func TestWriting(t *testing.T) {
	for size, want := range map[int64]int64{0: 0, 1: 1, 512 << 10: 1, 512<<10 + 1: 2, 500 << 20: 1000} {
		if got, _ := writing(size); got != want {
			t.Errorf("%d bytes are %d blocks, want %d", size, got, want)
		}
	}
	if _, dollars := writing(500 << 20); dollars != putPrice {
		t.Errorf("a thousand blocks cost $%g", dollars)
	}
}
