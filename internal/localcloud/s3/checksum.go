package s3

import (
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"hash"
	"hash/crc32"
	"hash/crc64"
	"net/http"
	"strings"
)

// crc64NVME is the polynomial of NVM Express, bits reversed as package crc64
// wants it.
const crc64NVME = 0x9a6c9329ac4bc9b5

const defaultAlgorithm = "CRC64NVME"

// algorithms are those S3 keeps checksums by, as it lists them.
func algorithms() []string { return []string{"CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256"} }

// newHash is the algorithm's hash, nil for one that is not known.
func newHash(algorithm string) hash.Hash {
	switch algorithm {
	case "CRC32":
		return crc32.NewIEEE()
	case "CRC32C":
		return crc32.New(crc32.MakeTable(crc32.Castagnoli))
	case "CRC64NVME":
		return crc64.New(crc64.MakeTable(crc64NVME))
	case "SHA1":
		return sha1.New()
	case "SHA256":
		return sha256.New()
	}
	return nil
}

func isCRC(algorithm string) bool { return strings.HasPrefix(algorithm, "CRC") }

// checksumHeader is the header, and the trailer, of an algorithm's value.
func checksumHeader(algorithm string) string {
	return http.CanonicalHeaderKey("x-amz-checksum-" + strings.ToLower(algorithm))
}

func encodeSum(sum []byte) string { return base64.StdEncoding.EncodeToString(sum) }

// claimed is the checksum that a request carries: a value in a header, or the
// promise of one in the body's trailer. The zero value is none.
type claimed struct {
	algorithm string
	value     string // "" until the trailer is read
	trailer   bool
}

// claimOf reads the checksum that a request announces.
func claimOf(r *http.Request) (claimed, error) {
	var found []claimed
	for name, values := range r.Header {
		rest, ok := strings.CutPrefix(name, "X-Amz-Checksum-")
		if !ok || rest == "Type" || rest == "Mode" || rest == "Algorithm" {
			continue
		}
		found = append(found, claimed{algorithm: strings.ToUpper(rest), value: values[0]})
	}
	for _, name := range strings.Split(r.Header.Get("X-Amz-Trailer"), ",") {
		if rest, ok := strings.CutPrefix(strings.ToLower(strings.TrimSpace(name)), "x-amz-checksum-"); ok {
			found = append(found, claimed{algorithm: strings.ToUpper(rest), trailer: true})
		}
	}
	if len(found) > 1 {
		return claimed{}, invalidRequest("Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.")
	}
	announced := strings.ToUpper(r.Header.Get("X-Amz-Sdk-Checksum-Algorithm"))
	if len(found) == 0 {
		if announced != "" {
			return claimed{}, invalidRequest("x-amz-sdk-checksum-algorithm specified, but no corresponding x-amz-checksum-* or x-amz-trailer headers were found.")
		}
		return claimed{}, nil
	}
	c := found[0]
	if newHash(c.algorithm) == nil {
		return claimed{}, invalidRequest("The algorithm type you specified in x-amz-checksum- header is invalid.")
	}
	if announced != "" && announced != c.algorithm {
		return claimed{}, invalidRequest("Value for x-amz-sdk-checksum-algorithm header is invalid.")
	}
	return c, nil
}

// checkValue refuses what can not be the algorithm's value.
func (c claimed) checkValue() error {
	sum, err := base64.StdEncoding.DecodeString(c.value)
	if err == nil && len(sum) == newHash(c.algorithm).Size() {
		return nil
	}
	place := "header"
	if c.trailer {
		place = "trailing header"
	}
	return invalidRequest(fmt.Sprintf("Value for x-amz-checksum-%s %s is invalid.", strings.ToLower(c.algorithm), place))
}

func badDigest(name string) *apiError {
	if name == "Content-MD5" {
		return newError(http.StatusBadRequest, "BadDigest", "The Content-MD5 you specified did not match what we received.")
	}
	return newError(http.StatusBadRequest, "BadDigest", "The "+name+" you specified did not match the calculated checksum.")
}

// setChecksum tells a checksum in an answer's header.
func setChecksum(h http.Header, c checksum) {
	if c.Value != "" {
		h.Set(checksumHeader(c.Algorithm), c.Value)
		h.Set("X-Amz-Checksum-Type", c.Type)
	}
}
