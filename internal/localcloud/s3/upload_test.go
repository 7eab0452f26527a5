package s3_test

import (
	"bytes"
	"crypto/md5"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/wpbake/wpbake/internal/localcloud/s3"
)

const partSize = 5 << 20

// testUpload is a multipart upload under way.
type testUpload struct {
	*fixture
	key, id   string
	algorithm types.ChecksumAlgorithm
	parts     []types.CompletedPart
}

func (f *fixture) startUpload(key string, algorithm types.ChecksumAlgorithm, kind types.ChecksumType) *testUpload {
	f.Helper()
	out, err := f.CreateMultipartUpload(f.Context(), &sdk.CreateMultipartUploadInput{
		Bucket: aws.String(bucket), Key: &key, ChecksumAlgorithm: algorithm, ChecksumType: kind,
	})
	if err != nil {
		f.Fatal(err)
	}
	return &testUpload{fixture: f, key: key, id: *out.UploadId, algorithm: algorithm}
}

func (u *testUpload) part(number int32, body []byte) {
	u.Helper()
	out, err := u.UploadPart(u.Context(), &sdk.UploadPartInput{
		Bucket: aws.String(bucket), Key: &u.key, UploadId: &u.id, PartNumber: &number,
		Body: bytes.NewReader(body), ChecksumAlgorithm: u.algorithm,
	})
	if err != nil {
		u.Fatalf("part %d: %v", number, err)
	}
	u.parts = append(u.parts, types.CompletedPart{
		PartNumber: &number, ETag: out.ETag, ChecksumCRC32: out.ChecksumCRC32, ChecksumCRC32C: out.ChecksumCRC32C,
		ChecksumCRC64NVME: out.ChecksumCRC64NVME, ChecksumSHA1: out.ChecksumSHA1, ChecksumSHA256: out.ChecksumSHA256,
	})
}

func (u *testUpload) complete(change func(*sdk.CompleteMultipartUploadInput)) (*sdk.CompleteMultipartUploadOutput, error) {
	in := &sdk.CompleteMultipartUploadInput{
		Bucket: aws.String(bucket), Key: &u.key, UploadId: &u.id,
		MultipartUpload: &types.CompletedMultipartUpload{Parts: u.parts},
	}
	if change != nil {
		change(in)
	}
	return u.CompleteMultipartUpload(u.Context(), in)
}

func pattern(size int, seed byte) []byte {
	body := make([]byte, size)
	for i := range body {
		seed = seed*31 + byte(i>>8) + 7
		body[i] = seed
	}
	return body
}

func TestMultipart(t *testing.T) {
	for _, test := range []struct {
		algorithm types.ChecksumAlgorithm
		kind      types.ChecksumType
	}{
		{"", ""},
		{"CRC32", ""}, {"CRC32", "FULL_OBJECT"}, {"CRC32C", "COMPOSITE"}, {"CRC32C", "FULL_OBJECT"},
		{"CRC64NVME", "FULL_OBJECT"}, {"SHA1", ""}, {"SHA256", "COMPOSITE"},
	} {
		t.Run(fmt.Sprint(test.algorithm, test.kind), func(t *testing.T) {
			f := newFixture(t, s3.Options{})
			one, two := pattern(partSize, 1), pattern(12345, 2)
			u := f.startUpload("key", test.algorithm, test.kind)
			u.part(1, one)
			u.part(2, two)
			out, err := u.complete(nil)
			if err != nil {
				t.Fatal(err)
			}
			if want := multipartETag(one, two); *out.ETag != want {
				t.Errorf("ETag = %s, want %s", *out.ETag, want)
			}
			whole := append(bytes.Clone(one), two...)
			if got := f.get("key"); got != string(whole) { // the SDK checks a full-object checksum here
				t.Error("content differs")
			}
			f.checkSameSum(test.algorithm, out, whole)
			f.checkParts(len(one), len(two))
		})
	}
}

func multipartETag(parts ...[]byte) string {
	all := md5.New()
	for _, p := range parts {
		sum := md5.Sum(p)
		all.Write(sum[:])
	}
	return fmt.Sprintf(`"%s-%d"`, hex.EncodeToString(all.Sum(nil)), len(parts))
}

// checkSameSum has the whole content put once more in one piece: a full-object
// checksum must come out equal, a composite one must say how many parts.
func (f *fixture) checkSameSum(algorithm types.ChecksumAlgorithm, out *sdk.CompleteMultipartUploadOutput, whole []byte) {
	f.Helper()
	if algorithm == "" {
		algorithm = types.ChecksumAlgorithmCrc64nvme
	}
	single, err := f.PutObject(f.Context(), &sdk.PutObjectInput{
		Bucket: aws.String(bucket), Key: aws.String("single"), Body: bytes.NewReader(whole), ChecksumAlgorithm: algorithm,
	})
	if err != nil {
		f.Fatal(err)
	}
	values := func(list ...*string) (all string) {
		for _, v := range list {
			all += aws.ToString(v)
		}
		return all
	}
	got := values(out.ChecksumCRC32, out.ChecksumCRC32C, out.ChecksumCRC64NVME, out.ChecksumSHA1, out.ChecksumSHA256)
	want := values(single.ChecksumCRC32, single.ChecksumCRC32C, single.ChecksumCRC64NVME, single.ChecksumSHA1, single.ChecksumSHA256)
	if out.ChecksumType == types.ChecksumTypeFullObject && got != want {
		f.Errorf("full-object %s = %s, want %s", algorithm, got, want)
	}
	if out.ChecksumType == types.ChecksumTypeComposite && !strings.HasSuffix(got, "=-2") {
		f.Errorf("composite %s = %s", algorithm, got)
	}
}

func (f *fixture) checkParts(one, two int) {
	f.Helper()
	attributes, err := f.GetObjectAttributes(f.Context(), &sdk.GetObjectAttributesInput{
		Bucket: aws.String(bucket), Key: aws.String("key"),
		ObjectAttributes: []types.ObjectAttributes{"ETag", "Checksum", "ObjectParts", "StorageClass", "ObjectSize"},
	})
	if err != nil {
		f.Fatal(err)
	}
	parts := attributes.ObjectParts
	if *attributes.ObjectSize != int64(one+two) || *parts.TotalPartsCount != 2 || len(parts.Parts) != 2 ||
		*parts.Parts[1].Size != int64(two) || attributes.Checksum.ChecksumType == "" {
		f.Errorf("attributes %+v, parts %+v", attributes, parts)
	}
	second, err := f.GetObject(f.Context(), &sdk.GetObjectInput{Bucket: aws.String(bucket), Key: aws.String("key"), PartNumber: aws.Int32(2)})
	if err != nil {
		f.Fatal(err)
	}
	second.Body.Close()
	if *second.ContentLength != int64(two) || *second.PartsCount != 2 ||
		*second.ContentRange != fmt.Sprintf("bytes %d-%d/%d", one, one+two-1, one+two) {
		f.Errorf("part 2: length %d of %d parts, range %s", *second.ContentLength, *second.PartsCount, *second.ContentRange)
	}
	_, err = f.HeadObject(f.Context(), &sdk.HeadObjectInput{Bucket: aws.String(bucket), Key: aws.String("key"), PartNumber: aws.Int32(3)})
	if err == nil {
		f.Error("part 3 exists")
	}
}

func TestMultipartRefusals(t *testing.T) {
	f := newFixture(t, s3.Options{})
	for _, test := range []struct {
		name   string
		change func(u *testUpload, in *sdk.CompleteMultipartUploadInput)
		code   string
		status int
	}{
		{"small part", func(u *testUpload, in *sdk.CompleteMultipartUploadInput) {
			u.part(3, []byte("x"))
			in.MultipartUpload.Parts = u.parts
		}, "EntityTooSmall", 400},
		{"unknown part", func(u *testUpload, in *sdk.CompleteMultipartUploadInput) {
			in.MultipartUpload.Parts = append(u.parts[:1:1], types.CompletedPart{PartNumber: aws.Int32(9), ETag: u.parts[0].ETag})
		}, "InvalidPart", 400},
		{"other ETag", func(u *testUpload, in *sdk.CompleteMultipartUploadInput) {
			in.MultipartUpload.Parts = []types.CompletedPart{{PartNumber: aws.Int32(1), ETag: u.parts[1].ETag}}
		}, "InvalidPart", 400},
		{"order", func(u *testUpload, in *sdk.CompleteMultipartUploadInput) {
			in.MultipartUpload.Parts = []types.CompletedPart{u.parts[1], u.parts[0]}
		}, "InvalidPartOrder", 400},
		{"no parts", func(_ *testUpload, in *sdk.CompleteMultipartUploadInput) {
			in.MultipartUpload = &types.CompletedMultipartUpload{}
		}, "MalformedXML", 400},
		{"size", func(_ *testUpload, in *sdk.CompleteMultipartUploadInput) {
			in.MpuObjectSize = aws.Int64(7)
		}, "InvalidRequest", 400},
		{"sum", func(_ *testUpload, in *sdk.CompleteMultipartUploadInput) {
			in.ChecksumCRC64NVME = aws.String("AAAAAAAAAAA=")
		}, "BadDigest", 400},
		{"sum's form", func(_ *testUpload, in *sdk.CompleteMultipartUploadInput) {
			in.ChecksumCRC64NVME = aws.String("short")
		}, "InvalidRequest", 400},
		{"sum's kind", func(_ *testUpload, in *sdk.CompleteMultipartUploadInput) {
			in.ChecksumType = types.ChecksumTypeComposite
		}, "InvalidRequest", 400},
		{"upload", func(_ *testUpload, in *sdk.CompleteMultipartUploadInput) {
			in.UploadId = aws.String("nobody")
		}, "NoSuchUpload", 404},
		{"existing", func(_ *testUpload, in *sdk.CompleteMultipartUploadInput) {
			in.IfNoneMatch = aws.String("*")
		}, "PreconditionFailed", 412},
		{"changed", func(_ *testUpload, in *sdk.CompleteMultipartUploadInput) {
			in.IfMatch = aws.String(`"x"`)
		}, "PreconditionFailed", 412},
	} {
		t.Run(test.name, func(t *testing.T) {
			f.put("key", "before")
			u := f.startUpload("key", "CRC64NVME", "")
			u.part(1, pattern(partSize, 1))
			u.part(2, []byte("end"))
			_, err := u.complete(func(in *sdk.CompleteMultipartUploadInput) { test.change(u, in) })
			wantCode(t, err, test.code, test.status)
			if got := f.get("key"); got != "before" {
				t.Errorf("object is now %.20q", got)
			}
		})
	}
}

func TestCompositeNeedsEachSum(t *testing.T) {
	f := newFixture(t, s3.Options{})
	u := f.startUpload("key", "SHA256", "")
	u.part(1, []byte("one"))
	u.parts[0].ChecksumSHA256 = nil
	_, err := u.complete(nil)
	wantCode(t, err, "InvalidRequest", 400)
	_, err = f.UploadPart(t.Context(), &sdk.UploadPartInput{
		Bucket: aws.String(bucket), Key: aws.String("key"), UploadId: &u.id, PartNumber: aws.Int32(1),
		Body: strings.NewReader("x"), ChecksumAlgorithm: "CRC32",
	})
	wantCode(t, err, "InvalidRequest", 400)
	_, err = f.CreateMultipartUpload(t.Context(), &sdk.CreateMultipartUploadInput{
		Bucket: aws.String(bucket), Key: aws.String("key"), ChecksumAlgorithm: "SHA256", ChecksumType: "FULL_OBJECT",
	})
	wantCode(t, err, "InvalidRequest", 400)
}

func TestCompositeSumOnCompletion(t *testing.T) {
	f := newFixture(t, s3.Options{})
	u := f.startUpload("key", "SHA256", "COMPOSITE")
	u.part(1, []byte("one"))
	_, err := u.complete(func(in *sdk.CompleteMultipartUploadInput) {
		in.ChecksumSHA256 = aws.String("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=-1")
	})
	wantCode(t, err, "BadDigest", 400)
	part := sha256.Sum256([]byte("one"))
	whole := sha256.Sum256(part[:])
	if _, err := u.complete(func(in *sdk.CompleteMultipartUploadInput) {
		in.ChecksumSHA256 = aws.String(base64.StdEncoding.EncodeToString(whole[:]) + "-1")
	}); err != nil {
		t.Error(err)
	}
}

func TestPartsAndUploadsAreListed(t *testing.T) {
	f := newFixture(t, s3.Options{})
	u := f.startUpload("dir/a", "SHA256", "")
	f.startUpload("dir/a", "", "")
	f.startUpload("dir/b", "", "")
	f.startUpload("top", "", "")
	u.part(1, []byte("old"))
	u.part(1, []byte("new"))
	u.part(2, []byte("two"))
	u.part(7, []byte("seven"))

	var numbers []int32
	pages := sdk.NewListPartsPaginator(f, &sdk.ListPartsInput{Bucket: aws.String(bucket), Key: aws.String("dir/a"), UploadId: &u.id, MaxParts: aws.Int32(2)})
	for pages.HasMorePages() {
		page, err := pages.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range page.Parts {
			numbers = append(numbers, *p.PartNumber)
		}
		if page.ChecksumAlgorithm != "SHA256" || *page.Parts[0].ChecksumSHA256 == "" {
			t.Errorf("checksums: %s %v", page.ChecksumAlgorithm, page.Parts[0])
		}
	}
	if fmt.Sprint(numbers) != "[1 2 7]" {
		t.Errorf("parts %v", numbers)
	}
	var keys []string
	uploads := sdk.NewListMultipartUploadsPaginator(f, &sdk.ListMultipartUploadsInput{Bucket: aws.String(bucket), MaxUploads: aws.Int32(1)})
	for uploads.HasMorePages() {
		page, err := uploads.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, upload := range page.Uploads {
			keys = append(keys, *upload.Key)
		}
	}
	if fmt.Sprint(keys) != "[dir/a dir/a dir/b top]" {
		t.Errorf("uploads %v", keys)
	}
	page, err := f.ListMultipartUploads(t.Context(), &sdk.ListMultipartUploadsInput{Bucket: aws.String(bucket), Delimiter: aws.String("/")})
	if err != nil || len(page.Uploads) != 1 || len(page.CommonPrefixes) != 1 || *page.CommonPrefixes[0].Prefix != "dir/" {
		t.Errorf("with a delimiter: %+v, %v", page, err)
	}
	_, err = f.AbortMultipartUpload(t.Context(), &sdk.AbortMultipartUploadInput{Bucket: aws.String(bucket), Key: aws.String("dir/a"), UploadId: &u.id})
	if err != nil {
		t.Fatal(err)
	}
	_, err = u.complete(nil)
	wantCode(t, err, "NoSuchUpload", 404)
}

func TestPartCopy(t *testing.T) {
	f := newFixture(t, s3.Options{Dir: t.TempDir()})
	body := pattern(partSize+1000, 3)
	f.put("source ü", string(body))
	f.put("small", "small")
	u := f.startUpload("key", "CRC32C", "FULL_OBJECT")
	copyPart := func(number int32, source, ranged string) error {
		in := &sdk.UploadPartCopyInput{
			Bucket: aws.String(bucket), Key: aws.String("key"), UploadId: &u.id, PartNumber: &number,
			CopySource: aws.String(bucket + "/" + source),
		}
		if ranged != "" {
			in.CopySourceRange = &ranged
		}
		out, err := f.UploadPartCopy(t.Context(), in)
		if err == nil {
			u.parts = append(u.parts, types.CompletedPart{
				PartNumber: &number, ETag: out.CopyPartResult.ETag, ChecksumCRC32C: out.CopyPartResult.ChecksumCRC32C,
			})
		}
		return err
	}
	if err := copyPart(1, "source%20%C3%BC", fmt.Sprintf("bytes=500-%d", partSize+499)); err != nil {
		t.Fatal(err)
	}
	if err := copyPart(2, "small", ""); err != nil {
		t.Fatal(err)
	}
	wantCode(t, copyPart(3, "small", "bytes=0-1"), "InvalidRequest", 400)
	wantCode(t, copyPart(3, "source%20%C3%BC", "bytes=5-99999999"), "InvalidArgument", 400)
	wantCode(t, copyPart(3, "source%20%C3%BC", "bytes=5-"), "InvalidArgument", 400)
	wantCode(t, copyPart(3, "absent", ""), "NoSuchKey", 404)
	if _, err := u.complete(nil); err != nil {
		t.Fatal(err)
	}
	want := string(body[500:partSize+500]) + "small"
	if got := f.get("key"); got != want {
		t.Errorf("copied %d bytes, want %d", len(got), len(want))
	}
	got := f.read(&sdk.GetObjectInput{Bucket: aws.String(bucket), Key: aws.String("key"), Range: aws.String(fmt.Sprintf("bytes=%d-%d", partSize-2, partSize+2))})
	if got != want[partSize-2:partSize+3] {
		t.Errorf("a range over the seam = %q", got)
	}
}
