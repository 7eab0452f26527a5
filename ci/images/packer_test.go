package images

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/wpbake/wpbake/internal/tier"
)

// baseImage is Debian, as the local cloud has it.
const baseImage = "ami-0123456789abcdef0"

// packer runs Packer by hand on the template of releases.
func (s *site) packer(command string, more ...string) (string, error) {
	args := []string{
		"../../bin/tools/packer", command, "-var=version=v1", "-var=store=" + store, "-var=base_image=" + baseImage,
		"-var=ssh_username=root", "-var=wpbake=" + s.wpbake, "-var=run=r1",
		"-var=record=" + filepath.Join(s.dir, "record.json"), fmt.Sprintf("-var=ssh_port=%d", s.sshPort()),
	}
	return s.run(append(append(args, more...), "../../packer/release.pkr.hcl")...)
}

func TestPackerBuildsAnImageOfARelease(t *testing.T) {
	tier.Soak(t)
	s := start(t)
	digest := s.publish()
	if _, err := s.packer("validate"); err != nil {
		t.Fatal(err)
	}
	if out, err := s.packer("build", "-color=false", "-var=instance_profile=nobody"); err == nil || !strings.Contains(err.Error(), "instance profile") {
		t.Errorf("an instance profile that there is none of: %v\n%s", err, out)
	}
	if out, err := s.packer("build", "-color=false", "-var=image_prefix=broken", "-var=wpbake=/bin/false"); err == nil {
		t.Fatalf("a provisioner that fails must fail the build:\n%s", out)
	}
	if left := s.left(); len(left) > 0 || len(s.ownImages("")) > 0 {
		t.Fatalf("a build that failed left %v and %d images", left, len(s.ownImages("")))
	}
	out, err := s.packer("build", "-machine-readable", "-var=instance_profile=wpbake-node")
	if err != nil {
		t.Fatal(err)
	}
	if want := "wpbake-release,v1," + digest; !strings.Contains(out, want) {
		t.Errorf("no event %q in:\n%s", want, out)
	}
	if left := s.left(); len(left) > 0 {
		t.Errorf("the build left %v", left)
	}
	var record struct{ Images map[string]string }
	text, err := os.ReadFile(filepath.Join(s.dir, "record.json"))
	if err == nil {
		err = json.Unmarshal(text, &record)
	}
	images := s.ownImages("")
	if err != nil || len(images) != 1 || record.Images["eu-central-1"] != *images[0].ImageId {
		t.Fatalf("recorded %s, %v; there are %d images", text, err, len(images))
	}
	s.wantTags("the image", tagsOf(images[0].Tags), digest)
	s.wantRecord(images[0], "eu-central-1", digest)
	s.bootWithoutStore(*images[0].ImageId, digest)
}

// wantRecord looks for what is written down of an image, beside the release.
func (s *site) wantRecord(one types.Image, region, digest string) {
	s.t.Helper()
	text := s.must("aws", "--endpoint-url", s.variable("AWS_ENDPOINT_URL"), "s3", "cp", store+"/releases/v1/images/"+*one.ImageId+".json", "-")
	var record struct {
		Manifest, Image, Region, Name string
		Snapshots                     []string
	}
	if err := json.Unmarshal([]byte(text), &record); err != nil {
		s.t.Fatalf("%s: %v", text, err)
	}
	if record.Manifest != digest || record.Image != *one.ImageId || record.Region != region || record.Name != *one.Name ||
		!slices.Equal(record.Snapshots, []string{*one.BlockDeviceMappings[0].Ebs.SnapshotId}) || strings.Contains(text, "PRIVATE") {
		s.t.Errorf("image %s is recorded as %s", *one.ImageId, text)
	}
}

// wantTags wants the tags by which a bake's things are known.
func (s *site) wantTags(what string, tags map[string]string, digest string) {
	s.t.Helper()
	for name, want := range map[string]string{"wpbake:version": "v1", "wpbake:manifest": digest, "wpbake:store": store} {
		if tags[name] != want {
			s.t.Errorf("%s has %s %q, want %q", what, name, tags[name], want)
		}
	}
	if _, err := time.Parse(time.RFC3339, tags["wpbake:expires"]); err != nil || tags["wpbake:run"] == "" {
		s.t.Errorf("%s has the tags %v", what, tags)
	}
}

// bootWithoutStore starts a node from an image while the artifact is missing
// from the store: what it serves came with the image.
func (s *site) bootWithoutStore(image, digest string) {
	t := s.t
	t.Helper()
	s.must("aws", "--endpoint-url", s.variable("AWS_ENDPOINT_URL"), "s3", "rm", store+"/releases/v1/wordpress.tar.zst")
	script := fmt.Sprintf("#!/bin/sh\nset -eu\ndest=/srv/wordpress/releases/%s\ncat $dest/wordpress/index.php\nwpbake fetch v1 $dest --manifest %s --store %s && echo the release is whole\n",
		strings.TrimPrefix(digest, "sha256:")[:12], digest, store)
	id := s.launch(image, script, types.ShutdownBehaviorStop)
	if console := s.console(id, "the release is whole"); !strings.Contains(console, "echo 'release'") {
		t.Errorf("the node's console says:\n%s", console)
	}
}

// launch starts an instance. The behaviour is for when it powers itself off.
func (s *site) launch(image, script string, behaviour types.ShutdownBehavior) (id string) {
	s.t.Helper()
	launched, err := s.client.RunInstances(s.t.Context(), &ec2.RunInstancesInput{
		ImageId: &image, InstanceType: types.InstanceTypeT3Small, MinCount: aws.Int32(1), MaxCount: aws.Int32(1),
		UserData: aws.String(base64Of(script)), InstanceInitiatedShutdownBehavior: behaviour,
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return *launched.Instances[0].InstanceId
}

// console waits until an instance has printed a text, and returns all.
func (s *site) console(id, text string) (console string) {
	s.t.Helper()
	s.await("the text "+text, func() bool {
		out, err := s.client.GetConsoleOutput(s.t.Context(), &ec2.GetConsoleOutputInput{InstanceId: &id})
		if err != nil {
			s.t.Fatal(err)
		}
		console = textOf(s.t, aws.ToString(out.Output))
		return strings.Contains(console, text)
	}, func() string { return console })
	return console
}

// await asks until something is so, for a minute.
func (s *site) await(what string, so func() bool, instead func() string) {
	s.t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(time.Minute); time.Now().Before(end); <-tick.C {
		if so() {
			return
		}
	}
	s.t.Fatalf("never came: %s; instead:\n%s", what, instead())
}

// The user data of build instances, as the template fills it in.
func TestABuildInstanceEndsItself(t *testing.T) {
	s := start(t)
	text, err := os.ReadFile("../../packer/scripts/self-destruct.sh")
	if err != nil {
		t.Fatal(err)
	}
	script := strings.ReplaceAll(string(text), "${lifetime}", "1")
	if strings.Contains(script, "${") || script == string(text) {
		t.Fatalf("the template fills in something else than its lifetime:\n%s", text)
	}
	kept := s.launch(baseImage, script, types.ShutdownBehaviorStop)
	s.awaitState(kept, types.InstanceStateNameStopped) // which is why the template asks for the other
	if _, err := s.client.TerminateInstances(t.Context(), &ec2.TerminateInstancesInput{InstanceIds: []string{kept}}); err != nil {
		t.Fatal(err)
	}
	s.awaitState(s.launch(baseImage, script, types.ShutdownBehaviorTerminate), types.InstanceStateNameTerminated)
	s.awaitState(kept, types.InstanceStateNameTerminated)
	if left := s.left(); len(left) > 0 {
		t.Errorf("they left %v", left)
	}
}

func (s *site) awaitState(id string, want types.InstanceStateName) {
	s.t.Helper()
	state := types.InstanceStateName("")
	s.await("the state "+string(want), func() bool {
		out, err := s.client.DescribeInstances(s.t.Context(), &ec2.DescribeInstancesInput{InstanceIds: []string{id}})
		if err != nil {
			s.t.Fatal(err)
		}
		state = out.Reservations[0].Instances[0].State.Name
		return state == want
	}, func() string { return string(state) })
}
