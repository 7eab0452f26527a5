package images

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/wpbake/wpbake/internal/tier"
)

// bakeArgs is wpbake bake of v1 as an AMI.
func (s *site) bakeArgs(more ...string) []string {
	s.t.Helper()
	return append([]string{
		s.wpbake, "bake", "v1", "--as", "ami", "--store", store,
		"--packer-program", "../../bin/tools/packer", "--packer-base-image", baseImage, "--packer-ssh-user", "root",
		"--packer-ssh-port", fmt.Sprint(s.sshPort()), "--packer-wpbake", s.wpbake,
	}, more...)
}

type bakedImage struct {
	Image  string
	Reused bool
	Copies map[string]string
}

func (s *site) bake(more ...string) (made bakedImage) {
	s.t.Helper()
	out := s.must(append(s.bakeArgs(more...), "--json")...)
	if err := json.Unmarshal([]byte(out), &made); err != nil {
		s.t.Fatalf("%s: %v", out, err)
	}
	return made
}

func TestBakeMakesAnImageOnce(t *testing.T) {
	tier.Soak(t)
	s := start(t)
	digest := s.publish()
	first := s.bake()
	if first.Reused || len(s.ownImages("")) != 1 || *s.ownImages("")[0].ImageId != first.Image {
		t.Fatalf("baked %+v", first)
	}
	if left := s.left(); len(left) > 0 {
		t.Errorf("the bake left %v", left)
	}
	one := s.ownImages("")[0]
	s.wantTags("the image", tagsOf(one.Tags), digest)
	s.wantRecord(one, "eu-central-1", digest)
	s.wantTags("its snapshot", s.snapshotTags("", one), digest)

	// What is there is used again, without Packer, and reaches further.
	again := s.bake("--packer-program", "/nowhere/packer", "--bake-regions", "eu-west-1,us-east-1",
		"--bake-accounts", "210987654321", "--bake-deprecate-after", "2160h")
	if !again.Reused || again.Image != first.Image || len(again.Copies) != 2 {
		t.Fatalf("baked again: %+v", again)
	}
	for region, id := range map[string]string{"": first.Image, "eu-west-1": again.Copies["eu-west-1"], "us-east-1": again.Copies["us-east-1"]} {
		images := s.ownImages(region)
		if len(images) != 1 || *images[0].ImageId != id || images[0].State != types.ImageStateAvailable {
			t.Errorf("in %q there are %+v, want %s", region, images, id)
			continue
		}
		s.wantTags("the image in "+region, tagsOf(images[0].Tags), digest)
		s.wantTags("its snapshot in "+region, s.snapshotTags(region, images[0]), digest)
		if region != "" {
			s.wantRecord(images[0], region, digest)
		}
		at, err := time.Parse(time.RFC3339, aws.ToString(images[0].DeprecationTime))
		if days := time.Until(at).Hours() / 24; err != nil || days < 89 || days > 91 {
			t.Errorf("in %q the image is deprecated at %v, %v", region, at, err)
		}
		if users := s.users(region, id); !slices.Equal(users, []string{"210987654321"}) {
			t.Errorf("in %q the image is open to %v", region, users)
		}
	}
	if third := s.bake("--bake-regions", "eu-west-1,us-east-1"); !third.Reused || third.Copies["eu-west-1"] != again.Copies["eu-west-1"] {
		t.Errorf("baked a third time: %+v", third)
	}
	// A template of one's own gets the same variables.
	if encrypted := s.bake("--bake-kms-key", "default", "--packer-template", "../../packer/release.pkr.hcl"); encrypted.Reused || len(s.ownImages("")) != 2 {
		t.Errorf("with a key baked %+v, there are %d images", encrypted, len(s.ownImages("")))
	}
}

func (s *site) in(region string) func(*ec2.Options) {
	return func(o *ec2.Options) {
		if region != "" {
			o.Region = region
		}
	}
}

func (s *site) snapshotTags(region string, one types.Image) map[string]string {
	s.t.Helper()
	out, err := s.client.DescribeSnapshots(s.t.Context(), &ec2.DescribeSnapshotsInput{SnapshotIds: []string{*one.BlockDeviceMappings[0].Ebs.SnapshotId}}, s.in(region))
	if err != nil || len(out.Snapshots) != 1 {
		s.t.Fatalf("%+v, %v", out, err)
	}
	return tagsOf(out.Snapshots[0].Tags)
}

// users are the accounts that may launch an image.
func (s *site) users(region, id string) (users []string) {
	s.t.Helper()
	out, err := s.client.DescribeImageAttribute(s.t.Context(), &ec2.DescribeImageAttributeInput{ImageId: &id, Attribute: types.ImageAttributeNameLaunchPermission}, s.in(region))
	if err != nil {
		s.t.Fatal(err)
	}
	for _, p := range out.LaunchPermissions {
		users = append(users, aws.ToString(p.UserId))
	}
	return users
}

// bakeUntil starts a bake and returns when it has said a text.
func (s *site) bakeUntil(text string) (running *exec.Cmd, said *bufio.Scanner) {
	s.t.Helper()
	args := s.bakeArgs()
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Env = s.environ
	out, outW, err := os.Pipe()
	if err != nil {
		s.t.Fatal(err)
	}
	cmd.Stderr = outW
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	_ = outW.Close()
	s.t.Cleanup(func() { _ = out.Close() })
	lines := bufio.NewScanner(out)
	s.readUntil(lines, text)
	return cmd, lines
}

func (s *site) readUntil(lines *bufio.Scanner, text string) {
	s.t.Helper()
	var all []string
	for lines.Scan() {
		if all = append(all, lines.Text()); strings.Contains(lines.Text(), text) {
			return
		}
	}
	s.t.Fatalf("never said %q:\n%s", text, strings.Join(all, "\n"))
}

func TestAnInterruptedBakeLeavesNothing(t *testing.T) {
	tier.Soak(t)
	s := start(t)
	s.publish()
	cmd, lines := s.bakeUntil("Connected to SSH")
	_ = cmd.Process.Signal(os.Interrupt)
	s.readUntil(lines, "Cleanly cancelled builds")
	rest := ""
	for lines.Scan() {
		rest += lines.Text() + "\n"
	}
	if err := cmd.Wait(); cmd.ProcessState.ExitCode() != 1 || !strings.Contains(rest, "wpbake: error: interrupted") {
		t.Errorf("an interrupted bake: %v, %s", err, rest)
	}
	if left := s.left(); len(left) > 0 || len(s.ownImages("")) > 0 {
		t.Errorf("it left %v and %d images", left, len(s.ownImages("")))
	}
}

// All that a bake makes carries the tags by which it is found when a second
// interrupt ends Packer at once.
func TestWhatABakeLeavesIsTagged(t *testing.T) {
	tier.Soak(t)
	s := start(t)
	digest := s.publish()
	cmd, lines := s.bakeUntil("Connected to SSH")
	made := s.things() // before anything is removed
	for _, kind := range []string{"instance", "volume", "key pair", "security group"} {
		tags, ok := made[kind]
		if !ok {
			t.Errorf("there is no %s", kind)
			continue
		}
		s.wantTags(kind, tags, digest)
		if !strings.Contains(tags["wpbake:holder"], fmt.Sprintf("/%d/", cmd.Process.Pid)) {
			t.Errorf("%s has the holder %q, which is process %d", kind, tags["wpbake:holder"], cmd.Process.Pid)
		}
	}
	_ = cmd.Process.Signal(os.Interrupt)
	s.readUntil(lines, "a second interrupt ends it at once")
	_ = cmd.Process.Signal(os.Interrupt)
	ended := make(chan error)
	go func() {
		for lines.Scan() {
		}
		ended <- cmd.Wait()
	}()
	select {
	case <-ended:
	case <-time.After(20 * time.Second):
		t.Fatal("it went on")
	}
	s.sweep()
}

// things are the tags of what is there, one of each kind.
func (s *site) things() map[string]map[string]string {
	s.t.Helper()
	ctx, found := s.t.Context(), map[string]map[string]string{}
	instances, err := s.client.DescribeInstances(ctx, &ec2.DescribeInstancesInput{})
	if err != nil {
		s.t.Fatal(err)
	}
	for _, r := range instances.Reservations {
		found["instance"] = tagsOf(r.Instances[0].Tags)
	}
	volumes, err := s.client.DescribeVolumes(ctx, &ec2.DescribeVolumesInput{})
	if err != nil {
		s.t.Fatal(err)
	}
	for _, v := range volumes.Volumes {
		found["volume"] = tagsOf(v.Tags)
	}
	keys, err := s.client.DescribeKeyPairs(ctx, &ec2.DescribeKeyPairsInput{})
	if err != nil {
		s.t.Fatal(err)
	}
	for _, k := range keys.KeyPairs {
		found["key pair"] = tagsOf(k.Tags)
	}
	groups, err := s.client.DescribeSecurityGroups(ctx, &ec2.DescribeSecurityGroupsInput{})
	if err != nil {
		s.t.Fatal(err)
	}
	for _, g := range groups.SecurityGroups {
		if *g.GroupName != "default" {
			found["security group"] = tagsOf(g.Tags)
		}
	}
	return found
}

func TestABakeSaysWhatIsMissing(t *testing.T) {
	s := start(t)
	s.publish()
	for hint, args := range map[string][]string{
		"packer.program names one":                       {"--packer-program", "/nowhere/packer"},
		"packer plugins install --path packer-plugin-wp": nil,
	} {
		environ := s.environ
		if args == nil {
			environ = append(slices.Clone(environ), "PACKER_PLUGIN_PATH="+s.dir+"/amazon-alone")
			s.must("cp", "-r", "--", s.variable("PACKER_PLUGIN_PATH"), s.dir+"/amazon-alone")
			if err := os.RemoveAll(s.dir + "/amazon-alone/github.com/wpbake"); err != nil {
				t.Fatal(err)
			}
		}
		args = s.bakeArgs(args...)
		cmd := exec.CommandContext(t.Context(), args[0], args[1:]...)
		cmd.Env = environ
		said, err := cmd.StderrPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		text, _ := io.ReadAll(said)
		if err := cmd.Wait(); err == nil || !strings.Contains(string(text), "wpbake: hint: ") || !strings.Contains(string(text), hint) {
			t.Errorf("%v; no hint %q in:\n%s", err, hint, text)
		}
	}
	if left := s.left(); len(left) > 0 {
		t.Errorf("left %v", left)
	}
}
