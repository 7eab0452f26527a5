package s3_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	sdk "github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/wpbake/wpbake/internal/localcloud/s3"
)

// inProcess is a transport that calls the handler: no network, no real time.
type inProcess struct{ http.Handler }

func (p inProcess) Do(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	p.ServeHTTP(w, r)
	return w.Result(), nil
}

// TestSimulation has a thousand nodes report under virtual time.
func TestSimulation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		service, err := s3.New(s3.Options{})
		if err != nil {
			t.Fatal(err)
		}
		client := sdk.New(sdk.Options{
			Region: "eu-central-1", BaseEndpoint: aws.String("http://s3.local"), UsePathStyle: true, HTTPClient: inProcess{service},
			Credentials: credentials.NewStaticCredentialsProvider("key", "secret", ""), RetryMaxAttempts: 1,
		})
		if _, err := client.CreateBucket(t.Context(), &sdk.CreateBucketInput{Bucket: aws.String(bucket)}); err != nil {
			t.Fatal(err)
		}
		begin := time.Now()
		var wg sync.WaitGroup
		for node := range 1000 {
			wg.Go(func() {
				time.Sleep(time.Duration(node) * time.Second)
				_, err := client.PutObject(t.Context(), &sdk.PutObjectInput{
					Bucket: aws.String(bucket), Key: aws.String(fmt.Sprintf("nodes/%04d.json", node)), Body: strings.NewReader("{}"),
				})
				if err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		page, err := client.ListObjectsV2(t.Context(), &sdk.ListObjectsV2Input{Bucket: aws.String(bucket), Prefix: aws.String("nodes/")})
		if err != nil || *page.KeyCount != 1000 {
			t.Fatalf("listing: %v", err)
		}
		if last := page.Contents[999].LastModified.Sub(begin).Round(time.Second); last != 999*time.Second {
			t.Errorf("the last node reported after %v", last)
		}
	})
}
