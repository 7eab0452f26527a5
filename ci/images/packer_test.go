package images

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
)

// need skips the test where something is missing, unless WPBAKE_TEST_REQUIRE
// says that it may not be.
func need(t *testing.T, what string, have bool) {
	t.Helper()
	switch {
	case have:
	case slices.Contains(strings.Split(os.Getenv("WPBAKE_TEST_REQUIRE"), ","), what):
		t.Fatalf("no %s, which WPBAKE_TEST_REQUIRE asks for", what)
	default:
		t.Skipf("no %s here", what)
	}
}

// site is a local cloud with a published release, and Packer beside it.
type site struct {
	t       *testing.T
	dir     string
	environ []string
	client  *ec2.Client
}

const store = "s3://releases/shop"

func start(t *testing.T) *site {
	t.Helper()
	need(t, "root", os.Geteuid() == 0)
	_, err := os.Stat("../../bin/tools/packer")
	need(t, "packer", err == nil)
	s := &site{t: t, dir: t.TempDir()}
	s.environ = []string{
		"PATH=" + s.dir + ":" + os.Getenv("PATH"), "HOME=" + s.dir, "CHECKPOINT_DISABLE=1",
		"PACKER_PLUGIN_PATH=" + filepath.Join(s.dir, "plugins"), "PACKER_CONFIG_DIR=" + filepath.Join(s.dir, "config"),
	}
	s.must("go", "build", "-o", s.dir+"/wpbake", "../../cmd/wpbake")
	s.must(s.dir+"/wpbake", "local", "start", "--dir", s.dir+"/cloud", "--port", "0", "--speed", "20")
	t.Cleanup(func() { s.must(s.dir+"/wpbake", "local", "stop", "--dir", s.dir+"/cloud") })
	var environ map[string]string
	if err := json.Unmarshal([]byte(s.must(s.dir+"/wpbake", "local", "env", "--dir", s.dir+"/cloud", "--json")), &environ); err != nil {
		t.Fatal(err)
	}
	for name, value := range environ {
		s.environ = append(s.environ, name+"="+value)
	}
	s.client = ec2.New(ec2.Options{
		Region: environ["AWS_REGION"], BaseEndpoint: aws.String(environ["AWS_ENDPOINT_URL"]),
		Credentials: credentials.NewStaticCredentialsProvider(environ["AWS_ACCESS_KEY_ID"], environ["AWS_SECRET_ACCESS_KEY"], ""),
	})
	for source, file := range map[string]string{"github.com/hashicorp/amazon": "tools/packer-plugin-amazon", "github.com/wpbake/wpbake": "packer-plugin-wpbake"} {
		s.must("../../bin/tools/packer", "plugins", "install", "--path", "../../bin/"+file, source)
	}
	return s
}

// run runs a program in the site's environment.
func (s *site) run(args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(s.t.Context(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Env = append(s.environ, "GOCACHE="+goEnv(s.t, "GOCACHE"), "GOMODCACHE="+goEnv(s.t, "GOMODCACHE"), "GOPROXY="+goEnv(s.t, "GOPROXY"))
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("%s: %w:\n%s%s", strings.Join(args, " "), err, out.String(), said.String())
	}
	return out.String(), nil
}

func goEnv(t *testing.T, name string) string {
	t.Helper()
	value, err := exec.Command("go", "env", name).Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(value))
}

func (s *site) must(args ...string) string {
	s.t.Helper()
	// A test's own context has ended when its clean-up runs.
	if s.t.Context().Err() != nil {
		cmd := exec.Command(args[0], args[1:]...)
		cmd.Env = s.environ
		if out, err := cmd.CombinedOutput(); err != nil {
			s.t.Errorf("%s: %v\n%s", strings.Join(args, " "), err, out)
		}
		return ""
	}
	out, err := s.run(args...)
	if err != nil {
		s.t.Fatal(err)
	}
	return out
}

// publish makes a tiny WordPress and publishes it as v1.
func (s *site) publish() (digest string) {
	s.t.Helper()
	files := map[string]string{"index.php": "<?php echo 'release';\n", "wp-includes/version.php": "<?php\n$wp_version = '6.8.1';\n$wp_db_version = 60421;\n$required_php_version = '7.2.24';\n$required_mysql_version = '5.5.5';\n"}
	files["wp-config.php"] = "<?php\ndefine( 'DISALLOW_FILE_MODS', true );\n"
	files["wp-content/themes/shop/style.css"] = "/* Theme Name: Shop */\n"
	for _, name := range []string{"wp-load.php", "wp-settings.php", "wp-blog-header.php", "wp-login.php", "wp-admin/index.php"} {
		files[name] = "<?php\n"
	}
	for name, content := range files {
		file := filepath.Join(s.dir, "tree", name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			s.t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
			s.t.Fatal(err)
		}
	}
	s.must("aws", "--endpoint-url", s.variable("AWS_ENDPOINT_URL"), "s3", "mb", "s3://releases")
	var published struct {
		Manifest string `json:"manifest"`
	}
	out := s.must(s.dir+"/wpbake", "publish", "v1", "--tree", filepath.Join(s.dir, "tree"), "--store", store, "--json")
	if err := json.Unmarshal([]byte(out), &published); err != nil || published.Manifest == "" {
		s.t.Fatalf("published %s, %v", out, err)
	}
	return published.Manifest
}

func (s *site) variable(name string) string {
	for _, one := range s.environ {
		if value, ok := strings.CutPrefix(one, name+"="); ok {
			return value
		}
	}
	s.t.Fatalf("no %s", name)
	return ""
}

// build runs Packer on the template of releases.
func (s *site) build(command string, more ...string) (string, error) {
	args := []string{
		"../../bin/tools/packer", command, "-var=version=v1", "-var=store=" + store, "-var=base_image=ami-0123456789abcdef0",
		"-var=ssh_username=root", "-var=wpbake=" + s.dir + "/wpbake", "-var=run=r1",
		"-var=record=" + filepath.Join(s.dir, "record.json"), fmt.Sprintf("-var=ssh_port=%d", s.sshPort()),
	}
	return s.run(append(append(args, more...), "../../packer/release.pkr.hcl")...)
}

func (s *site) sshPort() int {
	s.t.Helper()
	var status struct {
		Port int `json:"ssh_port"`
	}
	if err := json.Unmarshal([]byte(s.must(s.dir+"/wpbake", "local", "status", "--dir", s.dir+"/cloud", "--json")), &status); err != nil {
		s.t.Fatal(err)
	}
	return status.Port
}

// left counts what a build may not leave behind.
func (s *site) left() map[string]int {
	s.t.Helper()
	ctx := s.t.Context()
	instances, err := s.client.DescribeInstances(ctx, &ec2.DescribeInstancesInput{})
	if err != nil {
		s.t.Fatal(err)
	}
	counts := map[string]int{}
	for _, r := range instances.Reservations {
		for _, i := range r.Instances {
			if i.State.Name != types.InstanceStateNameTerminated {
				counts["instances"]++
			}
		}
	}
	volumes, err := s.client.DescribeVolumes(ctx, &ec2.DescribeVolumesInput{})
	if err != nil {
		s.t.Fatal(err)
	}
	keys, err := s.client.DescribeKeyPairs(ctx, &ec2.DescribeKeyPairsInput{})
	if err != nil {
		s.t.Fatal(err)
	}
	groups, err := s.client.DescribeSecurityGroups(ctx, &ec2.DescribeSecurityGroupsInput{})
	if err != nil {
		s.t.Fatal(err)
	}
	for what, n := range map[string]int{"volumes": len(volumes.Volumes), "key pairs": len(keys.KeyPairs), "groups": len(groups.SecurityGroups) - 1} {
		if n > 0 {
			counts[what] = n
		}
	}
	return counts
}

func (s *site) ownImages() []types.Image {
	s.t.Helper()
	out, err := s.client.DescribeImages(s.t.Context(), &ec2.DescribeImagesInput{Owners: []string{"self"}})
	if err != nil {
		s.t.Fatal(err)
	}
	return out.Images
}

func TestPackerBuildsAnImageOfARelease(t *testing.T) {
	s := start(t)
	digest := s.publish()
	if _, err := s.build("validate"); err != nil {
		t.Fatal(err)
	}
	if out, err := s.build("build", "-color=false", "-var=image_prefix=broken", "-var=wpbake=/bin/false"); err == nil {
		t.Fatalf("a provisioner that fails must fail the build:\n%s", out)
	}
	if left := s.left(); len(left) > 0 || len(s.ownImages()) > 0 {
		t.Fatalf("a build that failed left %v and %d images", left, len(s.ownImages()))
	}
	out, err := s.build("build", "-machine-readable")
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
	images := s.ownImages()
	if err != nil || len(images) != 1 || record.Images["eu-central-1"] != *images[0].ImageId {
		t.Fatalf("recorded %s, %v; there are %d images", text, err, len(images))
	}
	if !slices.ContainsFunc(images[0].Tags, func(tag types.Tag) bool { return *tag.Key == "wpbake:manifest" && *tag.Value == digest }) {
		t.Errorf("the image's tags are %+v", images[0].Tags)
	}
	s.bootWithoutStore(*images[0].ImageId, digest)
}

// bootWithoutStore starts a node from an image while the artifact is missing
// from the store: what it serves came with the image.
func (s *site) bootWithoutStore(image, digest string) {
	t := s.t
	t.Helper()
	s.must("aws", "--endpoint-url", s.variable("AWS_ENDPOINT_URL"), "s3", "rm", store+"/releases/v1/wordpress.tar.zst")
	script := fmt.Sprintf("#!/bin/sh\nset -eu\ndest=/srv/wordpress/releases/%s\ncat $dest/wordpress/index.php\nwpbake fetch v1 $dest --digest %s --store %s && echo the release is whole\n",
		strings.TrimPrefix(digest, "sha256:")[:12], digest, store)
	launched, err := s.client.RunInstances(t.Context(), &ec2.RunInstancesInput{
		ImageId: &image, InstanceType: types.InstanceTypeT3Small, MinCount: aws.Int32(1), MaxCount: aws.Int32(1),
		UserData: aws.String(base64Of(script)),
	})
	if err != nil {
		t.Fatal(err)
	}
	id := launched.Instances[0].InstanceId
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	console := ""
	for end := time.Now().Add(time.Minute); time.Now().Before(end); <-tick.C {
		out, err := s.client.GetConsoleOutput(t.Context(), &ec2.GetConsoleOutputInput{InstanceId: id})
		if err != nil {
			t.Fatal(err)
		}
		console = textOf(t, aws.ToString(out.Output))
		if strings.Contains(console, "the release is whole") && strings.Contains(console, "echo 'release'") {
			return
		}
	}
	t.Errorf("the node's console says:\n%s", console)
}
