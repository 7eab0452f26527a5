package s3

import (
	"crypto/md5"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"hash"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/wpbake/wpbake/internal/wire"
)

// maxBody is the most that one PutObject or UploadPart may carry.
const maxBody = 5 << 30

// body is a request's content: aws-chunked framing taken off while reading,
// everything that the client said about it checked at the end.
type body struct {
	reader io.Reader
	size   int64
	claim  claimed
	md5    string // hex of what Content-MD5 says
	sha256 string // hex of what the signature covers, "" when it covers no body
	chunks *chunkReader
}

// openBody reads what a request's header says about its body.
func openBody(r *request) (*body, error) {
	b := &body{reader: r.Body, size: r.ContentLength}
	if r.Body == nil { // a client's request, handed over without a network between
		b.reader = http.NoBody
	}
	var err error
	if b.claim, err = claimOf(r.Request); err != nil {
		return nil, err
	}
	if b.claim.algorithm != "" && !b.claim.trailer {
		if err := b.claim.checkValue(); err != nil {
			return nil, err
		}
	}
	if text, ok := r.Header["Content-Md5"]; ok {
		sum, err := base64.StdEncoding.DecodeString(text[0])
		if err != nil || len(sum) != md5.Size {
			return nil, newError(http.StatusBadRequest, "InvalidDigest", "The Content-MD5 you specified was invalid.")
		}
		b.md5 = hex.EncodeToString(sum)
	}
	payload := r.Header.Get("X-Amz-Content-Sha256")
	if len(payload) == sha256.Size*2 {
		b.sha256 = payload
	}
	if strings.HasPrefix(payload, "STREAMING-") || r.Header.Get("X-Amz-Decoded-Content-Length") != "" {
		if err := b.openChunks(r, payload); err != nil {
			return nil, err
		}
	}
	switch {
	case b.size < 0:
		return nil, errNoLength
	case b.size > maxBody:
		return nil, errTooLarge.with("ProposedSize", strconv.FormatInt(b.size, 10)).
			with("MaxSizeAllowed", strconv.FormatInt(maxBody, 10))
	}
	return b, nil
}

func (b *body) openChunks(r *request, payload string) error {
	var err error
	if b.size, err = strconv.ParseInt(r.Header.Get("X-Amz-Decoded-Content-Length"), 10, 64); err != nil || b.size < 0 {
		return errNoLength
	}
	format := chunkFormat{}
	switch payload {
	case "STREAMING-AWS4-HMAC-SHA256-PAYLOAD":
		format.signed = true
	case "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER":
		format.signed, format.trailer = true, true
	case "STREAMING-UNSIGNED-PAYLOAD-TRAILER":
		format.trailer = true
	case wire.UnsignedPayload, "":
	default:
		return notImplemented("header", "x-amz-content-sha256")
	}
	if format.signed {
		format.signature = wire.SignatureOf(r.Context())
	}
	b.chunks = newChunkReader(r.Body, format)
	b.reader = b.chunks
	return nil
}

// sums are what reading a body to its end has found.
type sums struct {
	size   int64
	md5    string            // hex
	sha256 string            // hex
	values map[string]string // base64 by algorithm
}

// hasher computes all of a body's sums in one reading.
type hasher struct {
	md5, sha256 hash.Hash
	others      map[string]hash.Hash
	size        int64
}

func newHasher(algorithms ...string) *hasher {
	h := &hasher{md5: md5.New(), sha256: sha256.New(), others: map[string]hash.Hash{}}
	for _, algorithm := range algorithms {
		if algorithm == "SHA256" {
			h.others[algorithm] = h.sha256 // once is enough: it also names the blob
		} else if algorithm != "" {
			h.others[algorithm] = newHash(algorithm)
		}
	}
	return h
}

func (h *hasher) Write(p []byte) (int, error) {
	h.md5.Write(p)
	h.sha256.Write(p)
	for algorithm, other := range h.others {
		if algorithm != "SHA256" {
			other.Write(p)
		}
	}
	h.size += int64(len(p))
	return len(p), nil
}

func (h *hasher) sums() sums {
	s := sums{
		size: h.size, values: map[string]string{},
		md5: hex.EncodeToString(h.md5.Sum(nil)), sha256: hex.EncodeToString(h.sha256.Sum(nil)),
	}
	for algorithm, other := range h.others {
		s.values[algorithm] = encodeSum(other.Sum(nil))
	}
	return s
}

// copyTo reads the whole body into w and checks it.
func (b *body) copyTo(w io.Writer, algorithms ...string) (sums, error) {
	h := newHasher(append(algorithms, b.claim.algorithm)...)
	_, err := io.Copy(io.MultiWriter(w, h), io.LimitReader(b.reader, b.size+1))
	var api *apiError
	switch {
	case errors.As(err, &api):
		return sums{}, err
	case errors.Is(err, io.ErrUnexpectedEOF) || err == nil && h.size != b.size:
		if b.chunks != nil {
			return sums{}, errIncompleteChunks
		}
		return sums{}, errIncompleteBody
	case err != nil:
		return sums{}, err
	}
	s := h.sums()
	return s, b.check(s)
}

func (b *body) check(s sums) error {
	if b.sha256 != "" && b.sha256 != s.sha256 {
		return newError(http.StatusBadRequest, "XAmzContentSHA256Mismatch",
			"The provided 'x-amz-content-sha256' header does not match what was computed.").
			with("ClientComputedContentSHA256", b.sha256).with("S3ComputedContentSHA256", s.sha256)
	}
	if b.md5 != "" && b.md5 != s.md5 {
		return badDigest("Content-MD5")
	}
	if b.claim.trailer {
		if b.chunks == nil {
			return errMalformedTrailer
		}
		if b.claim.value = b.chunks.trailers.Get(checksumHeader(b.claim.algorithm)); b.claim.value == "" {
			return errMalformedTrailer
		}
		if err := b.claim.checkValue(); err != nil {
			return err
		}
	}
	if b.claim.algorithm != "" && b.claim.value != s.values[b.claim.algorithm] {
		return badDigest(b.claim.algorithm)
	}
	return nil
}

// receive takes a request's body in as a blob that is held once, with at least
// the sums asked for.
func (s *Service) receive(b *body, algorithms ...string) (sums, error) {
	d, err := s.blobs.create(b.size)
	if err != nil {
		return sums{}, err
	}
	defer d.drop()
	found, err := b.copyTo(d, algorithms...)
	if err != nil {
		return sums{}, err
	}
	return found, d.keep(found.sha256)
}

// readSmall reads a document of at most limit bytes and checks it.
func (s *Service) readSmall(r *request, limit int64) ([]byte, error) {
	b, err := openBody(r)
	if err != nil {
		return nil, err
	}
	if b.size > limit {
		return nil, errMalformedXML
	}
	var text strings.Builder
	if _, err := b.copyTo(&text); err != nil {
		return nil, err
	}
	return []byte(text.String()), nil
}
