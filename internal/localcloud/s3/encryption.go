package s3

import (
	"encoding/xml"
	"fmt"
	"net/http"
	"strings"
)

const (
	sseHeader    = "X-Amz-Server-Side-Encryption"
	sseKeyHeader = "X-Amz-Server-Side-Encryption-Aws-Kms-Key-Id"
	sseBucketKey = "X-Amz-Server-Side-Encryption-Bucket-Key-Enabled"
)

// encryption is what S3 says about an object's encryption. Nothing is
// encrypted here; only the headers, and the ETags of KMS, are as they would be.
type encryption struct{ algorithm, key, bucketKey string }

type encryptionDocument struct {
	XMLName xml.Name         `xml:"ServerSideEncryptionConfiguration"`
	Xmlns   string           `xml:"xmlns,attr,omitempty"`
	Rules   []encryptionRule `xml:"Rule"`
}

type encryptionRule struct {
	Default struct {
		Algorithm string `xml:"SSEAlgorithm"`
		Key       string `xml:"KMSMasterKeyID,omitempty"`
	} `xml:"ApplyServerSideEncryptionByDefault"`
	BucketKey bool `xml:"BucketKeyEnabled"`
}

// encryptionFor is what a request asks for, else the bucket's default.
func (s *Service) encryptionFor(r *request, b *bucket) (encryption, error) {
	for name := range r.Header {
		if strings.HasPrefix(name, "X-Amz-Server-Side-Encryption-Customer-") {
			return encryption{}, notImplemented("header", strings.ToLower(name))
		}
	}
	e := encryption{r.Header.Get(sseHeader), r.Header.Get(sseKeyHeader), r.Header.Get(sseBucketKey)}
	if e.algorithm == "" {
		e = s.defaultEncryption(b)
	}
	switch e.algorithm {
	case "AES256":
		if e.key != "" {
			return e, invalidArgument("x-amz-server-side-encryption", e.algorithm,
				"Server Side Encryption with AWS KMS managed key requires HTTP header x-amz-server-side-encryption : aws:kms")
		}
	case "aws:kms", "aws:kms:dsse":
		e.key = s.keyARN(e.key)
	default:
		return e, invalidArgument("x-amz-server-side-encryption", e.algorithm, "The encryption method specified is not supported")
	}
	return e, nil
}

func (s *Service) defaultEncryption(b *bucket) encryption {
	e := encryption{algorithm: "AES256"}
	var document encryptionDocument
	if decodeXML([]byte(s.setting(b, "encryption")), &document) != nil || len(document.Rules) == 0 {
		return e
	}
	rule := document.Rules[0]
	e.algorithm, e.key = rule.Default.Algorithm, rule.Default.Key
	if rule.BucketKey && e.algorithm != "AES256" {
		e.bucketKey = "true"
	}
	return e
}

func (s *Service) keyARN(key string) string {
	switch {
	case strings.HasPrefix(key, "arn:"):
		return key
	case key == "":
		key = "alias/aws/s3"
	case !strings.HasPrefix(key, "alias/"):
		key = "key/" + key
	}
	return fmt.Sprintf("arn:aws:kms:%s:%s:%s", s.region, s.account, key)
}

// keep notes the encryption among what comes back with the content.
func (e encryption) keep(header map[string]string) {
	header[sseHeader] = e.algorithm
	if e.key != "" {
		header[sseKeyHeader] = e.key
	}
	if e.bucketKey == "true" {
		header[sseBucketKey] = "true"
	}
}

// etag is the ETag of content in one part. Under KMS it is no MD5, so that no
// client gets away with taking it for one.
func (e encryption) etag(s sums) string {
	if strings.HasPrefix(e.algorithm, "aws:kms") {
		return s.sha256[:32]
	}
	return s.md5
}

// tellEncryption repeats an object's encryption in the answer to a write.
func tellEncryption(h http.Header, kept map[string]string) {
	for _, name := range []string{sseHeader, sseKeyHeader, sseBucketKey} {
		if value := kept[name]; value != "" {
			h.Set(name, value)
		}
	}
}
