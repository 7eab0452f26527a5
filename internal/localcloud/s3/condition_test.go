package s3_test

import (
	"errors"
	"io"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go"

	"github.com/wpbake/wpbake/internal/localcloud/s3"
)

func TestConditionalPut(t *testing.T) {
	f := newFixture(t, s3.Options{})
	put := func(key, body string, match, none *string) error {
		_, err := f.PutObject(t.Context(), &sdk.PutObjectInput{
			Bucket: aws.String(bucket), Key: &key, Body: strings.NewReader(body), IfMatch: match, IfNoneMatch: none,
		})
		return err
	}
	if err := put("key", "one", nil, aws.String("*")); err != nil {
		t.Fatal(err)
	}
	etag := f.put("other", "one").ETag
	wantCode(t, put("key", "two", nil, aws.String("*")), "PreconditionFailed", 412)
	wantCode(t, put("key", "two", aws.String(`"0123"`), nil), "PreconditionFailed", 412)
	wantCode(t, put("absent", "two", etag, nil), "NoSuchKey", 404)
	wantCode(t, put("key", "two", nil, etag), "NotImplemented", 501)
	if got := f.get("key"); got != "one" {
		t.Errorf("a failed write left %q", got)
	}
	if err := put("key", "two", etag, nil); err != nil {
		t.Fatal(err)
	}
	if got := f.get("key"); got != "two" {
		t.Errorf("key = %q", got)
	}
	resp, body := f.raw("PUT", "/"+bucket+"/key", map[string]string{"If-None-Match": "*"}, "x")
	if resp.StatusCode != 412 || !strings.Contains(body, "<Condition>If-None-Match</Condition>") {
		t.Errorf("answered %d %s", resp.StatusCode, body)
	}
}

func TestConditionalDelete(t *testing.T) {
	f := newFixture(t, s3.Options{})
	etag := f.put("key", "one").ETag
	remove := func(key string, match *string) error {
		_, err := f.DeleteObject(t.Context(), &sdk.DeleteObjectInput{Bucket: aws.String(bucket), Key: &key, IfMatch: match})
		return err
	}
	wantCode(t, remove("key", aws.String(`"0123"`)), "PreconditionFailed", 412)
	wantCode(t, remove("absent", etag), "NoSuchKey", 404)
	if err := remove("key", etag); err != nil {
		t.Fatal(err)
	}
	if err := remove("key", nil); err != nil {
		t.Errorf("deleting what is not there: %v", err)
	}
}

func TestConditionalGet(t *testing.T) {
	f := newFixture(t, s3.Options{})
	etag := *f.put("key", "one").ETag
	past := time.Now().Add(-time.Hour).UTC().Format("Mon, 02 Jan 2006 15:04:05 GMT")
	future := time.Now().Add(time.Hour).UTC().Format("Mon, 02 Jan 2006 15:04:05 GMT")
	for _, test := range []struct {
		header map[string]string
		status int
	}{
		{map[string]string{"If-Match": etag}, 200},
		{map[string]string{"If-Match": `"x", ` + etag}, 200},
		{map[string]string{"If-Match": `"x"`}, 412},
		{map[string]string{"If-None-Match": etag}, 304},
		{map[string]string{"If-None-Match": `"x"`}, 200},
		{map[string]string{"If-Modified-Since": past}, 200},
		{map[string]string{"If-Modified-Since": future}, 304},
		{map[string]string{"If-Unmodified-Since": past}, 412},
		{map[string]string{"If-Unmodified-Since": future}, 200},
		{map[string]string{"If-Match": etag, "If-Unmodified-Since": past}, 200},
		{map[string]string{"If-None-Match": etag, "If-Modified-Since": past}, 304},
	} {
		for _, method := range []string{"GET", "HEAD"} {
			resp, body := f.raw(method, "/"+bucket+"/key", test.header, "")
			if resp.StatusCode != test.status {
				t.Errorf("%s with %v = %d %s, want %d", method, test.header, resp.StatusCode, body, test.status)
			}
		}
	}
}

func codeOf(err error) string {
	var api smithy.APIError
	if errors.As(err, &api) {
		return api.ErrorCode()
	}
	return ""
}

func TestOneWinnerOfManyCreators(t *testing.T) {
	for _, dir := range []string{"", t.TempDir()} {
		f := newFixture(t, s3.Options{Dir: dir})
		for round := range 10 {
			key := "lock-" + strconv.Itoa(round)
			var mu sync.Mutex
			var wg sync.WaitGroup
			var winners []string
			for writer := range 16 {
				wg.Go(func() {
					body := strconv.Itoa(writer)
					_, err := f.PutObject(t.Context(), &sdk.PutObjectInput{
						Bucket: aws.String(bucket), Key: &key, Body: strings.NewReader(body), IfNoneMatch: aws.String("*"),
					})
					mu.Lock()
					defer mu.Unlock()
					if err == nil {
						winners = append(winners, body)
					} else if codeOf(err) != "PreconditionFailed" {
						t.Errorf("losing answered %v", err)
					}
				})
			}
			wg.Wait()
			if len(winners) != 1 || f.get(key) != winners[0] {
				t.Fatalf("winners %v, object %q", winners, f.get(key))
			}
		}
	}
}

func TestNoCountIsLost(t *testing.T) {
	for _, dir := range []string{"", t.TempDir()} {
		f := newFixture(t, s3.Options{Dir: dir})
		f.put("counter", "0")
		var wg sync.WaitGroup
		const writers, rounds = 8, 5
		for range writers {
			wg.Go(func() {
				for done := 0; done < rounds; {
					if f.increment("counter") {
						done++
					}
				}
			})
		}
		wg.Wait()
		if got := f.get("counter"); got != strconv.Itoa(writers*rounds) {
			t.Errorf("counter = %s, want %d", got, writers*rounds)
		}
	}
}

// increment adds one to an object, unless somebody else was faster.
func (f *fixture) increment(key string) bool {
	got, err := f.GetObject(f.Context(), &sdk.GetObjectInput{Bucket: aws.String(bucket), Key: &key})
	if err != nil {
		f.Error(err)
		return true
	}
	text, err := io.ReadAll(got.Body)
	got.Body.Close()
	if err != nil {
		f.Error(err)
		return true
	}
	n, err := strconv.Atoi(string(text))
	if err != nil {
		f.Error(err)
		return true
	}
	_, err = f.PutObject(f.Context(), &sdk.PutObjectInput{
		Bucket: aws.String(bucket), Key: &key, Body: strings.NewReader(strconv.Itoa(n + 1)), IfMatch: got.ETag,
	})
	if err != nil && codeOf(err) != "PreconditionFailed" {
		f.Error(err)
		return true
	}
	return err == nil
}
