package s3_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"pgregory.net/rapid"

	"github.com/wpbake/wpbake/internal/localcloud/s3"
)

// listAll follows all pages of the second version's listing.
func (f *fixture) listAll(in sdk.ListObjectsV2Input) (keys, prefixes []string, err error) {
	in.Bucket = aws.String(bucket)
	pages := sdk.NewListObjectsV2Paginator(f, &in)
	for pages.HasMorePages() {
		page, err := pages.NextPage(f.Context())
		if err != nil {
			return nil, nil, err
		}
		for _, o := range page.Contents {
			keys = append(keys, *o.Key)
		}
		for _, p := range page.CommonPrefixes {
			prefixes = append(prefixes, *p.Prefix)
		}
	}
	return keys, prefixes, nil
}

func TestList(t *testing.T) {
	f := newFixture(t, s3.Options{})
	for _, key := range []string{"a", "dir/1", "dir/2", "dir/sub/3", "dir0", "ü +/x", "z"} {
		f.put(key, key)
	}
	for _, test := range []struct{ prefix, delimiter, after, keys, prefixes string }{
		{"", "", "", "a|dir/1|dir/2|dir/sub/3|dir0|z|ü +/x", ""},
		{"", "/", "", "a|dir0|z", "dir/|ü +/"},
		{"dir/", "/", "", "dir/1|dir/2", "dir/sub/"},
		{"dir", "", "", "dir/1|dir/2|dir/sub/3|dir0", ""},
		{"", "", "dir/2", "dir/sub/3|dir0|z|ü +/x", ""},
		{"", "/", "dir/", "dir0|z", "ü +/"},
		{"nothing", "/", "", "", ""},
		{"", "ir", "", "a|z|ü +/x", "dir"},
	} {
		for _, size := range []int32{1, 2, 1000} {
			in := sdk.ListObjectsV2Input{MaxKeys: &size}
			if test.prefix != "" {
				in.Prefix = &test.prefix
			}
			if test.delimiter != "" {
				in.Delimiter = &test.delimiter
			}
			if test.after != "" {
				in.StartAfter = &test.after
			}
			keys, prefixes, err := f.listAll(in)
			if err != nil {
				t.Fatal(err)
			}
			if strings.Join(keys, "|") != test.keys || strings.Join(prefixes, "|") != test.prefixes {
				t.Errorf("%+v by %d = %q %q", test, size, keys, prefixes)
			}
		}
	}
	_, body := f.raw("GET", "/"+bucket+"?list-type=2&encoding-type=url&prefix=%C3%BC", nil, "")
	if !strings.Contains(body, "<Key>%C3%BC%20%2B/x</Key>") || !strings.Contains(body, "<EncodingType>url</EncodingType>") ||
		!strings.Contains(body, "<ETag>&quot;") {
		t.Errorf("listing = %s", body)
	}
	_, body = f.raw("GET", "/"+bucket+"?max-keys=0", nil, "")
	if !strings.Contains(body, "<IsTruncated>false</IsTruncated>") {
		t.Errorf("listing of nothing = %s", body)
	}
}

func TestListOfTheFirstVersion(t *testing.T) {
	f := newFixture(t, s3.Options{})
	for _, key := range []string{"a", "dir/1", "dir/2", "z"} {
		f.put(key, key)
	}
	page, err := f.ListObjects(t.Context(), &sdk.ListObjectsInput{Bucket: aws.String(bucket), Delimiter: aws.String("/"), MaxKeys: aws.Int32(2)})
	if err != nil || !*page.IsTruncated || *page.NextMarker != "dir/" {
		t.Fatalf("first page %+v, %v", page, err)
	}
	page, err = f.ListObjects(t.Context(), &sdk.ListObjectsInput{Bucket: aws.String(bucket), Delimiter: aws.String("/"), Marker: page.NextMarker})
	if err != nil || len(page.Contents) != 1 || *page.Contents[0].Key != "z" || len(page.CommonPrefixes) != 0 {
		t.Errorf("second page %+v, %v", page, err)
	}
}

// TestListPages compares any listing in pages with the plain definition.
func TestListPages(t *testing.T) {
	f := newFixture(t, s3.Options{})
	key := rapid.StringMatching(`[ab/]{1,5}`)
	all := map[string]bool{}
	rapid.Check(t, func(r *rapid.T) {
		for _, k := range rapid.SliceOfN(key, 0, 3).Draw(r, "keys") {
			f.put(k, "x")
			all[k] = true
		}
		prefix := rapid.StringMatching(`[ab/]{0,2}`).Draw(r, "prefix")
		size := rapid.Int32Range(1, 5).Draw(r, "size")
		keys, prefixes, err := f.listAll(sdk.ListObjectsV2Input{Prefix: &prefix, Delimiter: aws.String("/"), MaxKeys: &size})
		if err != nil {
			r.Fatal(err)
		}
		var wantKeys, wantPrefixes []string
		for k := range all {
			rest, ok := strings.CutPrefix(k, prefix)
			if !ok {
				continue
			}
			if head, _, grouped := strings.Cut(rest, "/"); grouped {
				wantPrefixes = append(wantPrefixes, prefix+head+"/")
			} else {
				wantKeys = append(wantKeys, k)
			}
		}
		slices.Sort(wantKeys)
		slices.Sort(wantPrefixes)
		wantPrefixes = slices.Compact(wantPrefixes)
		if !slices.Equal(keys, wantKeys) || !slices.Equal(prefixes, wantPrefixes) {
			r.Fatalf("prefix %q by %d = %q %q, want %q %q", prefix, size, keys, prefixes, wantKeys, wantPrefixes)
		}
	})
}

func (f *fixture) keepVersions(status types.BucketVersioningStatus) {
	f.Helper()
	_, err := f.PutBucketVersioning(f.Context(), &sdk.PutBucketVersioningInput{
		Bucket: aws.String(bucket), VersioningConfiguration: &types.VersioningConfiguration{Status: status},
	})
	if err != nil {
		f.Fatal(err)
	}
}

func TestVersions(t *testing.T) {
	dir := t.TempDir()
	f := newFixture(t, s3.Options{Dir: dir})
	f.put("key", "null")
	f.keepVersions("Enabled")
	one, two := f.put("key", "one"), f.put("key", "two")
	f.put("other", "x")
	gone, err := f.DeleteObject(t.Context(), &sdk.DeleteObjectInput{Bucket: aws.String(bucket), Key: aws.String("key")})
	if err != nil || !*gone.DeleteMarker {
		t.Fatalf("deleting: %+v, %v", gone, err)
	}
	resp, body := f.raw("GET", "/"+bucket+"/key", nil, "")
	if resp.StatusCode != 404 || resp.Header.Get("X-Amz-Delete-Marker") != "true" || !strings.Contains(body, "NoSuchKey") {
		t.Errorf("getting behind a marker: %d %v %s", resp.StatusCode, resp.Header, body)
	}
	_, err = f.GetObject(t.Context(), &sdk.GetObjectInput{Bucket: aws.String(bucket), Key: aws.String("key"), VersionId: gone.VersionId})
	wantCode(t, err, "MethodNotAllowed", 405)
	_, err = f.GetObject(t.Context(), &sdk.GetObjectInput{Bucket: aws.String(bucket), Key: aws.String("key"), VersionId: aws.String(strings.Repeat("a", 32))})
	wantCode(t, err, "NoSuchVersion", 404)
	_, err = f.GetObject(t.Context(), &sdk.GetObjectInput{Bucket: aws.String(bucket), Key: aws.String("key"), VersionId: aws.String("x")})
	wantCode(t, err, "InvalidArgument", 400)

	f = newFixture(t, s3.Options{Dir: dir})
	for version, want := range map[string]string{"null": "null", *one.VersionId: "one", *two.VersionId: "two"} {
		if got := f.read(&sdk.GetObjectInput{Bucket: aws.String(bucket), Key: aws.String("key"), VersionId: &version}); got != want {
			t.Errorf("version %s = %q, want %q", version, got, want)
		}
	}
	if keys, _, err := f.listAll(sdk.ListObjectsV2Input{}); err != nil || fmt.Sprint(keys) != "[other]" {
		t.Errorf("current keys %v, %v", keys, err)
	}
	want := fmt.Sprintf("[key=%s* key=%s key=%s key=null]", *gone.VersionId, *two.VersionId, *one.VersionId)
	if got := f.versions("key"); got != want {
		t.Errorf("versions = %s, want %s", got, want)
	}
	// If-None-Match takes a marker for nothing.
	_, err = f.PutObject(t.Context(), &sdk.PutObjectInput{
		Bucket: aws.String(bucket), Key: aws.String("key"), Body: strings.NewReader("three"), IfNoneMatch: aws.String("*"),
	})
	if err != nil {
		t.Error(err)
	}
	f.keepVersions("Suspended")
	f.put("key", "null again")
	if got := f.read(&sdk.GetObjectInput{Bucket: aws.String(bucket), Key: aws.String("key"), VersionId: aws.String("null")}); got != "null again" {
		t.Errorf("null version = %q", got)
	}
	if n := strings.Count(f.versions("key"), "key="); n != 5 {
		t.Errorf("%d versions, want 5: %s", n, f.versions("key"))
	}
}

func TestRemovingAMarkerBringsTheObjectBack(t *testing.T) {
	f := newFixture(t, s3.Options{})
	f.keepVersions("Enabled")
	f.put("key", "one")
	in := &sdk.DeleteObjectInput{Bucket: aws.String(bucket), Key: aws.String("key")}
	gone, err := f.DeleteObject(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	in.VersionId = gone.VersionId
	if _, err := f.DeleteObject(t.Context(), in); err != nil {
		t.Fatal(err)
	}
	if got := f.get("key"); got != "one" {
		t.Errorf("key = %q", got)
	}
}

// versions lists a prefix one version a page; * marks delete markers.
func (f *fixture) versions(prefix string) string {
	f.Helper()
	var all []string
	pages := sdk.NewListObjectVersionsPaginator(f, &sdk.ListObjectVersionsInput{
		Bucket: aws.String(bucket), Prefix: &prefix, MaxKeys: aws.Int32(1),
	})
	for pages.HasMorePages() {
		page, err := pages.NextPage(f.Context())
		if err != nil {
			f.Fatal(err)
		}
		for _, v := range page.Versions {
			all = append(all, *v.Key+"="+*v.VersionId)
		}
		for _, v := range page.DeleteMarkers {
			all = append(all, *v.Key+"="+*v.VersionId+"*")
		}
	}
	return fmt.Sprint(all)
}

func TestUploadStartedLastIsCurrent(t *testing.T) {
	f := newFixture(t, s3.Options{})
	f.keepVersions("Enabled")
	first := f.startUpload("key", "", "")
	f.put("key", "between")
	second := f.startUpload("key", "", "")
	second.part(1, []byte("second"))
	first.part(1, []byte("first"))
	for _, u := range []*testUpload{second, first} {
		if _, err := u.complete(nil); err != nil {
			t.Fatal(err)
		}
	}
	if got := f.get("key"); got != "second" {
		t.Errorf("current = %q", got)
	}
}
