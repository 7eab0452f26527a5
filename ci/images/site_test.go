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
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/wpbake/wpbake/internal/tier"
)

// site is a local cloud with a published release, and Packer beside it.
type site struct {
	t       *testing.T
	dir     string
	wpbake  string // the program
	environ []string
	client  *ec2.Client
}

const store = "s3://releases/shop"

// programs are built and installed once for all sites.
type programs struct {
	dir string // wpbake, and plugins
	err error
}

var shared = sync.OnceValue(func() programs {
	dir, err := os.MkdirTemp("", "wpbake-images-")
	if err != nil {
		return programs{err: err}
	}
	commands := [][]string{slices.Concat([]string{"go", "build", "-o", dir + "/wpbake"}, tier.BuildFlags(), []string{"../../cmd/wpbake"})}
	for source, file := range map[string]string{"github.com/hashicorp/amazon": "tools/packer-plugin-amazon", "github.com/wpbake/wpbake": "packer-plugin-wpbake"} {
		commands = append(commands, []string{"../../bin/tools/packer", "plugins", "install", "--path", "../../bin/" + file, source})
	}
	for _, args := range commands {
		cmd := exec.Command(args[0], args[1:]...)
		cmd.Env = append(os.Environ(), "PACKER_PLUGIN_PATH="+filepath.Join(dir, "plugins"), "PACKER_CONFIG_DIR="+dir, "CHECKPOINT_DISABLE=1")
		if out, err := cmd.CombinedOutput(); err != nil {
			return programs{dir, fmt.Errorf("%s: %w: %s", strings.Join(args, " "), err, out)}
		}
	}
	return programs{dir: dir}
})

func TestMain(m *testing.M) {
	status := m.Run()
	if dir := made.Load(); dir != nil {
		_ = os.RemoveAll(dir.(string))
	}
	os.Exit(status)
}

// made is the directory of shared, once there is one.
var made atomic.Value

func start(t *testing.T) *site {
	t.Helper()
	tier.Test(t)
	t.Parallel() // each has a cloud of its own, and mostly waits
	tier.Root(t)
	_, err := os.Stat("../../bin/tools/packer")
	tier.Need(t, "packer", err == nil)
	have := shared()
	made.Store(have.dir)
	if have.err != nil {
		t.Fatal(have.err)
	}
	s := &site{t: t, dir: t.TempDir()}
	s.wpbake = filepath.Join(have.dir, "wpbake")
	s.environ = []string{
		"PATH=" + have.dir + ":" + os.Getenv("PATH"), "HOME=" + s.dir, "CHECKPOINT_DISABLE=1", "WPBAKE_POLL=1s",
		"PACKER_PLUGIN_PATH=" + filepath.Join(have.dir, "plugins"), "PACKER_CONFIG_DIR=" + filepath.Join(s.dir, "config"),
	}
	s.must(s.wpbake, "local", "start", "--dir", s.dir+"/cloud", "--port", "0", "--speed", "20")
	t.Cleanup(func() { s.must(s.wpbake, "local", "stop", "--dir", s.dir+"/cloud") })
	var environ map[string]string
	if err := json.Unmarshal([]byte(s.must(s.wpbake, "local", "env", "--dir", s.dir+"/cloud", "--json")), &environ); err != nil {
		t.Fatal(err)
	}
	for name, value := range environ {
		s.environ = append(s.environ, name+"="+value)
	}
	s.client = ec2.New(ec2.Options{
		Region: environ["AWS_REGION"], BaseEndpoint: aws.String(environ["AWS_ENDPOINT_URL"]),
		Credentials: credentials.NewStaticCredentialsProvider(environ["AWS_ACCESS_KEY_ID"], environ["AWS_SECRET_ACCESS_KEY"], ""),
	})
	return s
}

// run runs a program in the site's environment.
func (s *site) run(args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(s.t.Context(), 10*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Env = s.environ
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("%s: %w:\n%s%s", strings.Join(args, " "), err, out.String(), said.String())
	}
	return out.String(), nil
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
	out := s.must(s.wpbake, "publish", "v1", "--tree", filepath.Join(s.dir, "tree"), "--store", store, "--json")
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

// ownImages are those of the account in a region, "" for its own.
func (s *site) ownImages(region string) []types.Image {
	s.t.Helper()
	out, err := s.client.DescribeImages(s.t.Context(), &ec2.DescribeImagesInput{Owners: []string{"self"}}, s.in(region))
	if err != nil {
		s.t.Fatal(err)
	}
	return out.Images
}

func tagsOf(list []types.Tag) map[string]string {
	tags := map[string]string{}
	for _, tag := range list {
		tags[*tag.Key] = *tag.Value
	}
	return tags
}

func (s *site) sshPort() int {
	s.t.Helper()
	var status struct {
		Port int `json:"ssh_port"`
	}
	if err := json.Unmarshal([]byte(s.must(s.wpbake, "local", "status", "--dir", s.dir+"/cloud", "--json")), &status); err != nil {
		s.t.Fatal(err)
	}
	return status.Port
}
