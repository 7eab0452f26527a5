// Package control makes the requests by which a program asks the local cloud
// how it is and has it fail on purpose: below /_local/, signed like AWS's. The
// secret is never sent: another program may have taken the cloud's port.
package control

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

// Service is what requests are signed for.
const Service = "local"

// Request is a request to path, such as "/_local/status", of the cloud that
// environ leads to, which is what Cloud.Environ gives: a POST of body, or a GET
// when that is nil.
func Request(ctx context.Context, environ map[string]string, path string, body []byte) (*http.Request, error) {
	method := http.MethodGet
	if body != nil {
		method = http.MethodPost
	}
	r, err := http.NewRequestWithContext(ctx, method, environ["AWS_ENDPOINT_URL"]+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	key := aws.Credentials{AccessKeyID: environ["AWS_ACCESS_KEY_ID"], SecretAccessKey: environ["AWS_SECRET_ACCESS_KEY"]}
	sum := sha256.Sum256(body)
	if err := v4.NewSigner().SignHTTP(ctx, key, r, hex.EncodeToString(sum[:]), Service, environ["AWS_REGION"], time.Now()); err != nil {
		return nil, fmt.Errorf("signing a request to the local cloud: %w", err)
	}
	return r, nil
}
