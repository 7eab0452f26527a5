package s3_test

import (
	"strconv"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/wpbake/wpbake/internal/localcloud/s3"
)

func TestBuckets(t *testing.T) {
	f := newFixture(t, s3.Options{Dir: t.TempDir()})
	create := func(name string, place types.BucketLocationConstraint) error {
		in := &sdk.CreateBucketInput{Bucket: &name}
		if place != "" {
			in.CreateBucketConfiguration = &types.CreateBucketConfiguration{LocationConstraint: place}
		}
		_, err := f.CreateBucket(t.Context(), in)
		return err
	}
	if err := create("another", "eu-central-1"); err != nil {
		t.Fatal(err)
	}
	wantCode(t, create("another", ""), "BucketAlreadyOwnedByYou", 409)
	wantCode(t, create("elsewhere", "eu-west-1"), "IllegalLocationConstraintException", 400)
	for _, name := range []string{"Upper", "ab", "192.168.0.1", "a..b", "-a-"} {
		wantCode(t, create(name, ""), "InvalidBucketName", 400)
	}
	place, err := f.GetBucketLocation(t.Context(), &sdk.GetBucketLocationInput{Bucket: aws.String("another")})
	if err != nil || place.LocationConstraint != "eu-central-1" {
		t.Errorf("location %+v, %v", place, err)
	}
	head, err := f.HeadBucket(t.Context(), &sdk.HeadBucketInput{Bucket: aws.String("another")})
	if err != nil || *head.BucketRegion != "eu-central-1" {
		t.Errorf("head %+v, %v", head, err)
	}
	_, err = f.HeadBucket(t.Context(), &sdk.HeadBucketInput{Bucket: aws.String("nobody")})
	wantCode(t, err, "NotFound", 404)
	var names []string
	pages := sdk.NewListBucketsPaginator(f, &sdk.ListBucketsInput{MaxBuckets: aws.Int32(1)})
	for pages.HasMorePages() {
		page, err := pages.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, b := range page.Buckets {
			names = append(names, *b.Name)
		}
	}
	if strings.Join(names, " ") != "another "+bucket {
		t.Errorf("buckets %v", names)
	}
	f.put("key", "x")
	remove := func(name string) error {
		_, err := f.DeleteBucket(t.Context(), &sdk.DeleteBucketInput{Bucket: &name})
		return err
	}
	wantCode(t, remove(bucket), "BucketNotEmpty", 409)
	if err := remove("another"); err != nil {
		t.Error(err)
	}
	wantCode(t, remove("another"), "NoSuchBucket", 404)
}

func TestSettings(t *testing.T) {
	f := newFixture(t, s3.Options{Dir: t.TempDir()})
	for _, test := range []struct{ resource, document, fallback, missing string }{
		{"lifecycle", `<LifecycleConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Rule><ID>a</ID></Rule></LifecycleConfiguration>`, "", "NoSuchLifecycleConfiguration"},
		{"policy", `{"Version":"2012-10-17","Statement":[{"Effect":"Deny"}]}`, "", "NoSuchBucketPolicy"},
		{"tagging", `<Tagging><TagSet><Tag><Key>a</Key><Value>b</Value></Tag></TagSet></Tagging>`, "", "NoSuchTagSet"},
		{"encryption", `<ServerSideEncryptionConfiguration><Rule/></ServerSideEncryptionConfiguration>`, "AES256", ""},
		{"publicAccessBlock", `<PublicAccessBlockConfiguration></PublicAccessBlockConfiguration>`, "<BlockPublicPolicy>true", ""},
		{"ownershipControls", `<OwnershipControls></OwnershipControls>`, "BucketOwnerEnforced", ""},
	} {
		path := "/" + bucket + "?" + test.resource
		if _, body := f.raw("GET", path, nil, ""); !strings.Contains(body, test.missing) || !strings.Contains(body, test.fallback) {
			t.Errorf("%s of a new bucket: %s", test.resource, body)
		}
		if resp, body := f.raw("PUT", path, nil, "nonsense"); resp.StatusCode != 400 || !strings.Contains(body, "Malformed") {
			t.Errorf("nonsense as %s: %d %s", test.resource, resp.StatusCode, body)
		}
		if resp, body := f.raw("PUT", path, nil, test.document); resp.StatusCode/100 != 2 {
			t.Errorf("putting %s: %d %s", test.resource, resp.StatusCode, body)
		}
		if _, body := f.raw("GET", path, nil, ""); body != test.document {
			t.Errorf("%s came back as %s", test.resource, body)
		}
		if resp, body := f.raw("DELETE", path, nil, ""); resp.StatusCode != 204 {
			t.Errorf("deleting %s: %d %s", test.resource, resp.StatusCode, body)
		}
	}
}

func TestEncryptionIsEchoed(t *testing.T) {
	f := newFixture(t, s3.Options{Region: "eu-central-1", Account: "111122223333"})
	out, err := f.PutObject(t.Context(), &sdk.PutObjectInput{
		Bucket: aws.String(bucket), Key: aws.String("key"), Body: strings.NewReader("hello"),
		ServerSideEncryption: "aws:kms", SSEKMSKeyId: aws.String("1234"), BucketKeyEnabled: aws.Bool(true),
	})
	if err != nil {
		t.Fatal(err)
	}
	if out.ServerSideEncryption != "aws:kms" || *out.SSEKMSKeyId != "arn:aws:kms:eu-central-1:111122223333:key/1234" ||
		!*out.BucketKeyEnabled || *out.ETag == `"5d41402abc4b2a76b9719d911017c592"` {
		t.Errorf("put answered %+v", out)
	}
	_, err = f.PutBucketEncryption(t.Context(), &sdk.PutBucketEncryptionInput{
		Bucket: aws.String(bucket), ServerSideEncryptionConfiguration: &types.ServerSideEncryptionConfiguration{
			Rules: []types.ServerSideEncryptionRule{{ApplyServerSideEncryptionByDefault: &types.ServerSideEncryptionByDefault{SSEAlgorithm: "aws:kms"}}},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	if out := f.put("default", "x"); out.ServerSideEncryption != "aws:kms" {
		t.Errorf("the bucket's default was not taken: %+v", out)
	}
	resp, body := f.raw("PUT", "/"+bucket+"/c", map[string]string{"X-Amz-Server-Side-Encryption-Customer-Algorithm": "AES256"}, "x")
	if resp.StatusCode != 501 {
		t.Errorf("a customer's key: %d %s", resp.StatusCode, body)
	}
}

func TestTags(t *testing.T) {
	f := newFixture(t, s3.Options{Dir: t.TempDir()})
	f.put("key", "hello")
	object := aws.String("key")
	_, err := f.PutObjectTagging(t.Context(), &sdk.PutObjectTaggingInput{
		Bucket: aws.String(bucket), Key: object, Tagging: &types.Tagging{TagSet: []types.Tag{{Key: aws.String("v"), Value: aws.String("v42")}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	got, err := f.GetObjectTagging(t.Context(), &sdk.GetObjectTaggingInput{Bucket: aws.String(bucket), Key: object})
	if err != nil || len(got.TagSet) != 1 || *got.TagSet[0].Value != "v42" || f.get("key") != "hello" {
		t.Errorf("tags %+v, %v; object %q", got, err, f.get("key"))
	}
	copied := func(key string, in sdk.CopyObjectInput) int {
		in.Bucket, in.Key, in.CopySource = aws.String(bucket), &key, aws.String(bucket+"/key")
		if _, err := f.CopyObject(t.Context(), &in); err != nil {
			t.Fatal(err)
		}
		got, err := f.GetObjectTagging(t.Context(), &sdk.GetObjectTaggingInput{Bucket: aws.String(bucket), Key: &key})
		if err != nil {
			t.Fatal(err)
		}
		return len(got.TagSet)
	}
	if n := copied("a", sdk.CopyObjectInput{}); n != 1 {
		t.Errorf("a copy has %d tags", n)
	}
	if n := copied("b", sdk.CopyObjectInput{TaggingDirective: "REPLACE", Tagging: aws.String("x=1&y=2")}); n != 2 {
		t.Errorf("a copy with own tags has %d", n)
	}
	if _, err := f.DeleteObjectTagging(t.Context(), &sdk.DeleteObjectTaggingInput{Bucket: aws.String(bucket), Key: object}); err != nil {
		t.Fatal(err)
	}
	if resp, body := f.raw("PUT", "/"+bucket+"/key", map[string]string{"X-Amz-Tagging": "aws:x=1"}, "x"); !strings.Contains(body, "InvalidTag") {
		t.Errorf("a tag of AWS: %d %s", resp.StatusCode, body)
	}
}

func TestCopy(t *testing.T) {
	f := newFixture(t, s3.Options{})
	source, err := f.PutObject(t.Context(), &sdk.PutObjectInput{
		Bucket: aws.String(bucket), Key: aws.String("a b"), Body: strings.NewReader("hello"),
		Metadata: map[string]string{"x": "1"}, CacheControl: aws.String("no-store"),
	})
	if err != nil {
		t.Fatal(err)
	}
	copyTo := func(key string, change func(*sdk.CopyObjectInput)) error {
		in := &sdk.CopyObjectInput{Bucket: aws.String(bucket), Key: &key, CopySource: aws.String(bucket + "/a%20b")}
		if change != nil {
			change(in)
		}
		_, err := f.CopyObject(t.Context(), in)
		return err
	}
	if err := copyTo("copy", nil); err != nil {
		t.Fatal(err)
	}
	head, err := f.HeadObject(t.Context(), &sdk.HeadObjectInput{Bucket: aws.String(bucket), Key: aws.String("copy"), ChecksumMode: "ENABLED"})
	if err != nil || head.Metadata["x"] != "1" || *head.CacheControl != "no-store" || aws.ToString(head.ChecksumCRC32) != "NhCmhg==" {
		t.Errorf("copy is %+v, %v", head, err)
	}
	if err := copyTo("own", func(in *sdk.CopyObjectInput) {
		in.MetadataDirective, in.Metadata, in.ChecksumAlgorithm = "REPLACE", map[string]string{"y": "2"}, "SHA256"
	}); err != nil {
		t.Fatal(err)
	}
	head, err = f.HeadObject(t.Context(), &sdk.HeadObjectInput{Bucket: aws.String(bucket), Key: aws.String("own"), ChecksumMode: "ENABLED"})
	if err != nil || head.Metadata["x"] != "" || head.Metadata["y"] != "2" || head.ChecksumSHA256 == nil {
		t.Errorf("copy with own metadata is %+v, %v", head, err)
	}
	for _, test := range []struct {
		key    string
		change func(*sdk.CopyObjectInput)
		code   string
		status int
	}{
		{"copy", func(in *sdk.CopyObjectInput) { in.IfNoneMatch = aws.String("*") }, "PreconditionFailed", 412},
		{"copy", func(in *sdk.CopyObjectInput) { in.IfMatch = aws.String(`"x"`) }, "PreconditionFailed", 412},
		{"new", func(in *sdk.CopyObjectInput) { in.CopySourceIfMatch = aws.String(`"x"`) }, "PreconditionFailed", 412},
		{"new", func(in *sdk.CopyObjectInput) { in.CopySourceIfNoneMatch = source.ETag }, "PreconditionFailed", 412},
		{"new", func(in *sdk.CopyObjectInput) { in.CopySource = aws.String(bucket + "/absent") }, "NoSuchKey", 404},
		{"new", func(in *sdk.CopyObjectInput) { in.CopySource = aws.String("nobody/absent") }, "NoSuchBucket", 404},
		{"new", func(in *sdk.CopyObjectInput) { in.ExpectedSourceBucketOwner = aws.String("1") }, "AccessDenied", 403},
		{"a b", nil, "InvalidRequest", 400},
	} {
		wantCode(t, copyTo(test.key, test.change), test.code, test.status)
	}
}

func TestDeleteObjects(t *testing.T) {
	f := newFixture(t, s3.Options{})
	f.put("keep", "x")
	in := &sdk.DeleteObjectsInput{Bucket: aws.String(bucket), Delete: &types.Delete{}}
	for i := range 3 {
		key := "key" + strconv.Itoa(i)
		f.put(key, "x")
		in.Delete.Objects = append(in.Delete.Objects, types.ObjectIdentifier{Key: &key})
	}
	in.Delete.Objects = append(in.Delete.Objects, types.ObjectIdentifier{Key: aws.String("keep"), ETag: aws.String(`"x"`)})
	out, err := f.Client.DeleteObjects(t.Context(), in)
	if err != nil || len(out.Deleted) != 3 || len(out.Errors) != 1 || *out.Errors[0].Code != "PreconditionFailed" {
		t.Errorf("answered %+v, %v", out, err)
	}
	if keys, _, err := f.listAll(sdk.ListObjectsV2Input{}); err != nil || strings.Join(keys, " ") != "keep" {
		t.Errorf("left %v, %v", keys, err)
	}
	if resp, body := f.raw("POST", "/"+bucket+"?delete", nil, "<Delete><Object><Key>keep</Key></Object></Delete>"); resp.StatusCode != 400 {
		t.Errorf("a list without a sum: %d %s", resp.StatusCode, body)
	}
}
