package artifact

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
)

// Digest is a SHA-256 in the form "sha256:" and 64 lower-case hex digits.
// The zero value is no digest.
type Digest string

const digestPrefix = "sha256:"

// DigestOf returns the digest of b.
func DigestOf(b []byte) Digest {
	sum := sha256.Sum256(b)
	return DigestFromSum(sum[:])
}

// DigestFromSum wraps a finished SHA-256 sum of 32 bytes.
func DigestFromSum(sum []byte) Digest {
	return Digest(digestPrefix + hex.EncodeToString(sum))
}

// ParseDigest accepts exactly the canonical form.
func ParseDigest(s string) (Digest, error) {
	h, ok := strings.CutPrefix(s, digestPrefix)
	if !ok || len(h) != 2*sha256.Size || strings.Trim(h, "0123456789abcdef") != "" {
		return "", fmt.Errorf("parsing digest %q: want sha256: and 64 lower-case hex digits", s)
	}
	return Digest(s), nil
}

// Hex returns the 64 digits without the algorithm.
func (d Digest) Hex() string { return strings.TrimPrefix(string(d), digestPrefix) }

// Short returns the first 12 hex digits: the name of a release's directory on
// a node and what people read in logs.
func (d Digest) Short() string {
	h := d.Hex()
	return h[:min(12, len(h))]
}
