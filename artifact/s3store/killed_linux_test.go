package s3store_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/wpbake/wpbake/artifact"
	"github.com/wpbake/wpbake/artifact/build"
	"github.com/wpbake/wpbake/artifact/fetch"
	"github.com/wpbake/wpbake/artifact/s3store"

	locals3 "github.com/wpbake/wpbake/internal/localcloud/s3"
	"github.com/wpbake/wpbake/internal/tier"
)

// A test binary started with these publishes a tree and ends.
const (
	publishTree = "S3STORE_TEST_TREE"
	publishTo   = "S3STORE_TEST_ENDPOINT"
)

func TestMain(m *testing.M) {
	if tree, ok := os.LookupEnv(publishTree); ok {
		store := s3store.New(clientOf(os.Getenv(publishTo)), "releases", "shop", "")
		if _, err := build.PublishTree(context.Background(), store, build.Options{Tree: tree, Version: "v1", Described: described()}); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func described() build.Description { return build.Description{SBOM: []byte("{}\n")} }

func clientOf(endpoint string) *s3.Client {
	return s3.New(s3.Options{
		Region: "eu-central-1", BaseEndpoint: &endpoint, UsePathStyle: true,
		Credentials:                credentials.NewStaticCredentialsProvider("wpbake", "secret", ""),
		RequestChecksumCalculation: aws.RequestChecksumCalculationWhenSupported,
	})
}

// killer is a server that kills its client at its nth call.
type killer struct {
	http.Handler
	after   bool             // the call takes effect first
	subject chan *os.Process // the client, once it is started
	mu      sync.Mutex
	calls   int
	nth     int // 0 kills at none
}

// aim counts calls anew and returns how many there were.
func (k *killer) aim(nth int) (calls int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	calls, k.calls, k.nth = k.calls, 0, nth
	return calls
}

func (k *killer) hits() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.calls++
	return k.calls == k.nth
}

func (k *killer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !k.hits() {
		k.Handler.ServeHTTP(w, r)
		return
	}
	if k.after {
		k.Handler.ServeHTTP(httptest.NewRecorder(), r)
	}
	(<-k.subject).Kill()
	panic(http.ErrAbortHandler)
}

// A publication is killed at each of its calls, before it takes effect and
// after. No half release is ever visible, and the same command again publishes
// and leaves no upload behind.
func TestKilledAtEachCall(t *testing.T) {
	tier.Test(t)
	tree := t.TempDir()
	noise := rand.NewChaCha8([32]byte{1})
	for i := range 2 {
		b := make([]byte, 17<<18)
		noise.Read(b)
		if err := os.WriteFile(filepath.Join(tree, fmt.Sprintf("%d.bin", i)), b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	killed := 0
	moments := tier.Some(2, 1) // before each call and after it, or in turn
	for nth := 1; ; nth++ {
		ended := 0
		for i := range moments {
			after := (nth+i)%2 == 0
			if killAt(t, tree, nth, after) {
				killed++
			} else {
				ended++
			}
		}
		if ended == moments {
			break
		}
	}
	if killed < 9*moments { // list, two looks, begin, two parts, complete, list, two documents: at each moment
		t.Errorf("it was killed %d times only", killed)
	}
}

// killAt reports whether the publication made so many calls.
func killAt(t *testing.T, tree string, nth int, after bool) bool {
	t.Helper()
	service, err := locals3.New(locals3.Options{})
	if err != nil {
		t.Fatal(err)
	}
	k := &killer{Handler: service, after: after, subject: make(chan *os.Process, 1)}
	server := httptest.NewServer(k)
	defer server.Close()
	client := clientOf(server.URL)
	if _, err := client.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: aws.String("releases")}); err != nil {
		t.Fatal(err)
	}
	k.aim(nth)
	cmd := exec.CommandContext(t.Context(), "/proc/self/exe")
	cmd.Env = append(os.Environ(), publishTree+"="+tree, publishTo+"="+server.URL)
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	k.subject <- cmd.Process
	err = cmd.Wait()
	hit := k.aim(0) >= nth
	if hit == (err == nil) {
		t.Fatalf("call %d: %v", nth, err)
	}
	store := s3store.New(client, "releases", "shop", "")
	wholeOrAbsent(t, store)
	if _, err := build.PublishTree(t.Context(), store, build.Options{Tree: tree, Version: "v1", Described: described()}); err != nil {
		t.Fatalf("again after call %d, %v: %v", nth, after, err)
	}
	wholeOrAbsent(t, store)
	place{client: client}.noUploads(t)
	return hit
}

// wholeOrAbsent demands that the version is not published, or verifies.
func wholeOrAbsent(t *testing.T, store artifact.Store) {
	t.Helper()
	_, err := fetch.Verify(t.Context(), store, "v1", "")
	if err != nil && !errors.Is(err, artifact.ErrNotFound) {
		t.Errorf("half a release: %v", err)
	}
}
