package wire

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	algorithm       = "AWS4-HMAC-SHA256"
	amzTime         = "20060102T150405Z"
	UnsignedPayload = "UNSIGNED-PAYLOAD" // X-Amz-Content-Sha256 of a body that is not signed
	maxPresign      = 7 * 24 * time.Hour
)

// Key is a secret that requests may be signed with.
type Key struct {
	Secret  string
	Token   string    // session token that must come along, "" for none
	Expires time.Time // zero means never
}

// Verifier checks Signature Version 4, in the Authorization header or in a
// presigned URL. It computes the signature itself, over exactly the headers
// that the client says it signed: the SDK's signer chooses its own.
type Verifier struct {
	Key func(accessKey string) (Key, bool)
	Now func() time.Time
}

// Signature is what a verified request was signed with. S3 goes on from it to
// check the signatures of a body's chunks.
type Signature struct {
	AccessKey   string
	Region      string
	Service     string // of the credential scope, such as "autoscaling"
	Time        time.Time
	Value       string // hex
	PayloadHash string // of S3: hex, UNSIGNED-PAYLOAD or STREAMING-…
	Presigned   bool
	signingKey  []byte
}

// Sign signs text as the request was signed.
func (s *Signature) Sign(text string) string {
	return hex.EncodeToString(hmacSHA256(s.signingKey, text))
}

// Scope is the credential scope without the access key.
func (s *Signature) Scope() string {
	return strings.Join([]string{s.Time.Format("20060102"), s.Region, s.Service, "aws4_request"}, "/")
}

type signatureKey struct{}

// WithSignature hands a verified signature to the service.
func WithSignature(ctx context.Context, s *Signature) context.Context {
	return context.WithValue(ctx, signatureKey{}, s)
}

// SignatureOf is the signature that WithSignature kept, nil for none.
func SignatureOf(ctx context.Context) *Signature {
	s, _ := ctx.Value(signatureKey{}).(*Signature)
	return s
}

// ScopeService is the service that a request claims to be signed for, before
// anything is verified; "" when it is not signed.
func ScopeService(r *http.Request) string {
	claim, err := readClaim(r)
	if err != nil {
		return ""
	}
	return claim.Service
}

// Verify checks a request's signature. The bodies of all services but S3 are
// part of it and are read, up to MaxBody, and put back.
func (v *Verifier) Verify(r *http.Request) (*Signature, error) {
	c, err := readClaim(r)
	if err != nil {
		return nil, err
	}
	words := wordsOf(c.Service)
	key, ok := v.Key(c.AccessKey)
	if !ok {
		return nil, words.unknownKey
	}
	if err := c.checkTime(v.Now(), words); err != nil {
		return nil, err
	}
	if key.Token != c.token {
		return nil, words.badToken
	}
	if err := c.readPayload(r); err != nil {
		return nil, err
	}
	c.signingKey = signingKey(key.Secret, &c.Signature)
	request := sha256.Sum256([]byte(c.canonical(r)))
	expected := c.Sign(strings.Join([]string{
		algorithm, c.Time.Format(amzTime), c.Scope(), hex.EncodeToString(request[:]),
	}, "\n"))
	if !hmac.Equal([]byte(expected), []byte(c.Value)) {
		return nil, words.mismatch
	}
	if !key.Expires.IsZero() && !v.Now().Before(key.Expires) {
		return nil, words.expiredToken
	}
	return &c.Signature, nil
}

// claim is what a request says about its own signature.
type claim struct {
	Signature
	headers []string // signed ones, small letters
	token   string
	expires time.Duration // of a presigned URL
}

func readClaim(r *http.Request) (*claim, error) {
	if r.URL.Query().Get("X-Amz-Algorithm") != "" {
		return readPresigned(r)
	}
	header := r.Header.Get("Authorization")
	if header == "" {
		return nil, &Error{Code: "MissingAuthenticationToken", Message: "Request is missing Authentication Token", Status: http.StatusForbidden}
	}
	kind, rest, _ := strings.Cut(header, " ")
	if kind != algorithm {
		return nil, incomplete("Authorization header names algorithm %q, only %s is served.", kind, algorithm)
	}
	fields := map[string]string{}
	for _, part := range strings.Split(rest, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		fields[name] = value
	}
	date := r.Header.Get("X-Amz-Date")
	if date == "" {
		date = r.Header.Get("Date")
	}
	c := &claim{token: r.Header.Get("X-Amz-Security-Token"), headers: strings.Split(fields["SignedHeaders"], ";")}
	c.Value = fields["Signature"]
	return c, c.readScope(fields["Credential"], date)
}

func readPresigned(r *http.Request) (*claim, error) {
	q := r.URL.Query()
	seconds, err := strconv.Atoi(q.Get("X-Amz-Expires"))
	if err != nil || seconds < 0 || time.Duration(seconds)*time.Second > maxPresign {
		return nil, incomplete("X-Amz-Expires must be a number of seconds up to %d.", int(maxPresign.Seconds()))
	}
	c := &claim{
		token:   q.Get("X-Amz-Security-Token"),
		headers: strings.Split(q.Get("X-Amz-SignedHeaders"), ";"),
		expires: time.Duration(seconds) * time.Second,
	}
	c.Presigned, c.Value = true, q.Get("X-Amz-Signature")
	return c, c.readScope(q.Get("X-Amz-Credential"), q.Get("X-Amz-Date"))
}

// readScope reads KEY/DATE/REGION/SERVICE/aws4_request.
func (c *claim) readScope(credential, date string) error {
	parts := strings.Split(credential, "/")
	n := len(parts)
	if n < 5 || parts[n-1] != "aws4_request" {
		return incomplete("Credential %q must be of the form KEY/DATE/REGION/SERVICE/aws4_request.", credential)
	}
	at, err := time.Parse(amzTime, date)
	if err != nil {
		if at, err = http.ParseTime(date); err != nil {
			return incomplete("X-Amz-Date %q is no date.", date)
		}
	}
	c.AccessKey = strings.Join(parts[:n-4], "/")
	c.Time, c.Region, c.Service = at.UTC(), parts[n-3], parts[n-2]
	if c.Time.Format("20060102") != parts[n-4] {
		return &Error{Code: "SignatureDoesNotMatch", Status: http.StatusForbidden,
			Message: "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP."}
	}
	if !slices.Contains(c.headers, "host") {
		return incomplete("'Host' must be a 'SignedHeader' in the AWS Authorization.")
	}
	return nil
}

func incomplete(format string, args ...any) *Error {
	return Errorf("IncompleteSignature", format, args...)
}

func (c *claim) checkTime(now time.Time, words *signatureErrors) error {
	if c.Presigned {
		if now.After(c.Time.Add(c.expires)) || now.Before(c.Time.Add(-words.skew)) {
			return words.expiredURL
		}
		return nil
	}
	if now.Sub(c.Time).Abs() > words.skew {
		return words.skewed(c.Time, now)
	}
	return nil
}

// readPayload finds the body's hash as the client signed it.
func (c *claim) readPayload(r *http.Request) error {
	if c.Service != "s3" {
		body, err := Buffer(r, MaxBody)
		if err != nil {
			return err
		}
		if c.Service == "ebs" && r.Header.Get("X-Amz-Content-Sha256") == UnsignedPayload {
			c.PayloadHash = UnsignedPayload // blocks have a checksum of their own
			return nil
		}
		sum := sha256.Sum256(body)
		c.PayloadHash = hex.EncodeToString(sum[:])
		return nil
	}
	c.PayloadHash = r.Header.Get("X-Amz-Content-Sha256")
	if c.Presigned && c.PayloadHash == "" {
		c.PayloadHash = r.URL.Query().Get("X-Amz-Content-Sha256")
	}
	if c.PayloadHash == "" && c.Presigned {
		c.PayloadHash = UnsignedPayload
	}
	if c.PayloadHash == "" {
		return Errorf("InvalidRequest", "Missing required header for this request: x-amz-content-sha256")
	}
	return nil
}

// canonical is the request in the form that is signed.
func (c *claim) canonical(r *http.Request) string {
	path := escape(r.URL.Path, true)
	if c.Service != "s3" {
		path = escape(path, true) // everything but S3 escapes twice
	}
	if path == "" {
		path = "/"
	}
	return strings.Join([]string{
		r.Method, path, canonicalQuery(r.URL.Query()), c.canonicalHeaders(r), strings.Join(c.headers, ";"), c.PayloadHash,
	}, "\n")
}

func canonicalQuery(values url.Values) string {
	var pairs []string
	for name, all := range values {
		if name == "X-Amz-Signature" {
			continue
		}
		for _, value := range all {
			pairs = append(pairs, escape(name, false)+"="+escape(value, false))
		}
	}
	slices.Sort(pairs)
	return strings.Join(pairs, "&")
}

func (c *claim) canonicalHeaders(r *http.Request) string {
	var text strings.Builder
	for _, name := range c.headers {
		var values []string
		switch name {
		case "host": // Go's server takes these two out of the header
			values = []string{hostOf(r)}
		case "content-length":
			values = []string{strconv.FormatInt(r.ContentLength, 10)}
		default:
			values = r.Header.Values(name)
		}
		trimmed := make([]string, len(values))
		for i, value := range values {
			trimmed[i] = strings.Join(strings.Fields(value), " ")
		}
		fmt.Fprintf(&text, "%s:%s\n", name, strings.Join(trimmed, ","))
	}
	return text.String()
}

func hostOf(r *http.Request) string {
	if r.Host != "" {
		return r.Host
	}
	return r.URL.Host
}

// escape percent-encodes all but RFC 3986's unreserved characters, and the
// slashes of a path.
func escape(s string, path bool) string {
	var b strings.Builder
	for i := range len(s) {
		c := s[i]
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9',
			c == '-', c == '_', c == '.', c == '~', c == '/' && path:
			b.WriteByte(c)
		default:
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

func signingKey(secret string, s *Signature) []byte {
	key := []byte("AWS4" + secret)
	for _, part := range []string{s.Time.Format("20060102"), s.Region, s.Service, "aws4_request"} {
		key = hmacSHA256(key, part)
	}
	return key
}

func hmacSHA256(key []byte, text string) []byte {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(text))
	return mac.Sum(nil)
}
