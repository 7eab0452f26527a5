package images

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	sdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/wpbake/wpbake/internal/aws"
	"github.com/wpbake/wpbake/internal/tier"
	"github.com/wpbake/wpbake/rollout"
)

// aws asks with the AWS CLI, which nobody here wrote.
func (s *site) aws(answer any, args ...string) {
	s.t.Helper()
	out := s.must(slices.Concat([]string{"aws", "--endpoint-url", s.variable("AWS_ENDPOINT_URL"), "--output", "json"}, args)...)
	if err := json.Unmarshal([]byte(out), answer); err != nil {
		s.t.Fatalf("aws %q: %s: %v", args, out, err)
	}
}

const blockSize = 512 << 10

type listedBlocks struct {
	Blocks []struct {
		BlockIndex int
		BlockToken string
	}
	VolumeSize, BlockSize int
}

// wantBlocks reads a snapshot by the AWS CLI and wants it to be the image.
func (s *site) wantBlocks(snapshot string, image []byte) (listed listedBlocks) {
	s.t.Helper()
	s.aws(&listed, "ebs", "list-snapshot-blocks", "--snapshot-id", snapshot)
	got := make([]byte, (len(image)+blockSize-1)/blockSize*blockSize)
	for _, b := range listed.Blocks {
		file := filepath.Join(s.dir, "block")
		var told struct {
			DataLength        int
			Checksum          string
			ChecksumAlgorithm string
		}
		s.aws(&told, "ebs", "get-snapshot-block", "--snapshot-id", snapshot, "--block-index", strconv.Itoa(b.BlockIndex), "--block-token", b.BlockToken, file)
		content, err := os.ReadFile(file)
		if err != nil || len(content) != blockSize || (b.BlockIndex+1)*blockSize > len(got) {
			s.t.Fatalf("block %d of %d bytes, %v", b.BlockIndex, len(content), err)
		}
		sum := sha256.Sum256(content)
		if want := base64.StdEncoding.EncodeToString(sum[:]); told.Checksum != want {
			s.t.Errorf("block %d has checksum %q, want %s", b.BlockIndex, told.Checksum, want)
		}
		if bytes.Equal(content, make([]byte, blockSize)) {
			s.t.Errorf("block %d holds only zeros and was written", b.BlockIndex)
		}
		copy(got[b.BlockIndex*blockSize:], content)
	}
	if !bytes.Equal(got[:len(image)], image) || !bytes.Equal(got[len(image):], make([]byte, len(got)-len(image))) {
		s.t.Error("the blocks are not the image")
	}
	return listed
}

// image is the file system of v1 as a node makes it.
func (s *site) image(from string) []byte {
	s.t.Helper()
	file := filepath.Join(s.t.TempDir(), "v1.erofs")
	s.must(s.wpbake, "fetch", "v1", file, "--as", "erofs", "--store", from)
	image, err := os.ReadFile(file)
	if err != nil {
		s.t.Fatal(err)
	}
	return image
}

// A release volume and the template version that attaches it are read by the
// AWS CLI as they were meant.
func TestTheAWSCLIReadsAReleaseVolume(t *testing.T) {
	_, err := exec.LookPath("aws")
	tier.Need(t, "aws", err == nil)
	s := start(t)
	s.pad(1 << 20)
	digest := s.publish()
	var made struct {
		Volume rollout.Volume
		Blocks int
	}
	out := s.must(s.wpbake, "bake", "v1", "--as", "volume", "--store", store, "--json")
	if err := json.Unmarshal([]byte(out), &made); err != nil {
		t.Fatalf("%s: %v", out, err)
	}
	listed := s.wantBlocks(made.Volume.Snapshot, s.image(store))
	if len(listed.Blocks) != made.Blocks || made.Blocks < 3 || listed.BlockSize != blockSize || listed.VolumeSize != 1 {
		t.Errorf("%d blocks of %d bytes on a volume of %d GiB; wpbake wrote %d", len(listed.Blocks), listed.BlockSize, listed.VolumeSize, made.Blocks)
	}
	var found struct {
		Snapshots []struct {
			SnapshotId, State string
			VolumeSize        int
			Tags              []types.Tag
		}
	}
	s.aws(&found, "ec2", "describe-snapshots", "--owner-ids", "self", "--filters", "Name=tag:wpbake:manifest,Values="+digest)
	if len(found.Snapshots) != 1 || found.Snapshots[0].SnapshotId != made.Volume.Snapshot || found.Snapshots[0].State != "completed" {
		t.Fatalf("by its tag there is %+v", found)
	}
	s.wantTags("the snapshot", tagsOf(found.Snapshots[0].Tags), digest)
	s.aws(&found, "ec2", "describe-snapshots", "--owner-ids", "self", "--filters", "Name=tag:wpbake:manifest,Values=sha256:other")
	if len(found.Snapshots) != 0 {
		t.Errorf("by another tag there is %+v", found)
	}
	made.Volume.Rate = 200
	s.wantMapping(made.Volume)
}

// wantMapping makes a template version as a release does.
func (s *site) wantMapping(v rollout.Volume) {
	s.t.Helper()
	ctx := s.t.Context()
	template, err := s.client.CreateLaunchTemplate(ctx, &ec2.CreateLaunchTemplateInput{
		LaunchTemplateName: sdk.String("shop"), LaunchTemplateData: &types.RequestLaunchTemplateData{ImageId: sdk.String(baseImage), InstanceType: types.InstanceTypeT3Small},
	})
	if err != nil {
		s.t.Fatal(err)
	}
	clients := aws.New(sdk.Config{
		Region: s.client.Options().Region, Credentials: s.client.Options().Credentials, BaseEndpoint: s.client.Options().BaseEndpoint,
	})
	id := *template.LaunchTemplate.LaunchTemplateId
	made, err := clients.Cloud().Templates.Create(ctx, rollout.NewTemplateVersion{
		From: rollout.TemplateRef{ID: id, Version: "1"}, UserData: []byte("#!/bin/sh\n"), Volume: &v, Description: "v1", Token: "v1",
	})
	if err != nil {
		s.t.Fatal(err)
	}
	var described struct {
		LaunchTemplateVersions []struct {
			LaunchTemplateData struct {
				BlockDeviceMappings []struct {
					DeviceName string
					Ebs        struct {
						SnapshotId               string
						DeleteOnTermination      bool
						VolumeInitializationRate int
					}
				}
			}
		}
	}
	s.aws(&described, "ec2", "describe-launch-template-versions", "--launch-template-id", id, "--versions", made.Version)
	mappings := described.LaunchTemplateVersions[0].LaunchTemplateData.BlockDeviceMappings
	if len(mappings) != 1 || mappings[0].Ebs.SnapshotId != v.Snapshot || !mappings[0].Ebs.DeleteOnTermination ||
		mappings[0].Ebs.VolumeInitializationRate != v.Rate || mappings[0].DeviceName == "" {
		s.t.Errorf("version %s has the mappings %+v", made.Version, mappings)
	}
}

// moto is a server of its own kind: it checks neither checksums nor counts, so
// all it can say is that our calls are such as boto's service models describe.
func TestMotoTakesAReleaseVolume(t *testing.T) {
	tier.Soak(t)
	program, err := exec.LookPath("moto_server")
	tier.Need(t, "moto", err == nil)
	s := start(t)
	endpoint := s.moto(program)
	s.publish() // which makes the tree
	s.pad(1 << 20)
	s.environ = slices.DeleteFunc(s.environ, func(one string) bool { return strings.HasPrefix(one, "AWS_ENDPOINT_URL=") })
	s.environ = append(s.environ, "AWS_ENDPOINT_URL="+endpoint)
	from := "dir://" + filepath.Join(s.dir, "store")
	s.must(s.wpbake, "publish", "v1", "--tree", filepath.Join(s.dir, "tree"), "--store", from)
	var made struct {
		Volume rollout.Volume
		Reused bool
	}
	for again := range 2 {
		out := s.must(s.wpbake, "bake", "v1", "--as", "volume", "--store", from, "--json")
		if err := json.Unmarshal([]byte(out), &made); err != nil || made.Reused != (again == 1) {
			t.Fatalf("%s: %v", out, err)
		}
	}
	s.wantBlocks(made.Volume.Snapshot, s.image(from))
	s.must(s.wpbake, "sweep", "--store", from)
	s.must(s.wpbake, "gc", "--store", from, "--younger-than", "0s")
	var found struct{ Snapshots []struct{ SnapshotId string } }
	s.aws(&found, "ec2", "describe-snapshots", "--owner-ids", "self", "--filters", "Name=tag-key,Values=wpbake:manifest")
	if len(found.Snapshots) != 0 {
		t.Errorf("after gc there is %+v", found)
	}
}

// moto serves on loopback until the test ends.
func (s *site) moto(program string) (endpoint string) {
	s.t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		s.t.Fatal(err)
	}
	port := listener.Addr().(*net.TCPAddr).Port
	_ = listener.Close()
	cmd := exec.Command(program, "-H", "127.0.0.1", "-p", strconv.Itoa(port))
	cmd.Env = s.environ
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	endpoint = fmt.Sprintf("http://127.0.0.1:%d", port)
	s.await("moto", func() bool {
		ctx, cancel := context.WithTimeout(s.t.Context(), time.Second)
		defer cancel()
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, endpoint+"/moto-api/", nil)
		if err != nil {
			return false
		}
		answer, err := http.DefaultClient.Do(request)
		if err != nil {
			return false
		}
		return answer.Body.Close() == nil
	}, func() string { return "no answer at " + endpoint })
	return endpoint
}
