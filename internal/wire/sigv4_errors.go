package wire

import (
	"fmt"
	"net/http"
	"time"
)

// signatureErrors are the answers to a request that can not be trusted. Each
// family of protocols has its own codes for the same thing.
type signatureErrors struct {
	skew                                                          time.Duration
	unknownKey, mismatch, badToken, expiredToken, expiredURL, old *Error
}

func wordsOf(service string) *signatureErrors {
	switch service {
	case "s3":
		return s3SignatureErrors()
	case "ssm", "kms", "ebs":
		return jsonSignatureErrors()
	}
	return querySignatureErrors()
}

const (
	mismatchMessage = "The request signature we calculated does not match the signature you provided. " +
		"Check your AWS Secret Access Key and signing method. Consult the service documentation for details."
	invalidToken = "The security token included in the request is invalid."
	expiredToken = "The security token included in the request is expired"
)

func querySignatureErrors() *signatureErrors {
	return &signatureErrors{
		skew:         5 * time.Minute,
		unknownKey:   forbidden("InvalidClientTokenId", invalidToken),
		mismatch:     forbidden("SignatureDoesNotMatch", mismatchMessage),
		badToken:     forbidden("InvalidClientTokenId", invalidToken),
		expiredToken: forbidden("ExpiredToken", expiredToken),
		expiredURL:   Errorf("RequestExpired", "Request has expired."),
		old:          Errorf("RequestExpired", "Request has expired."),
	}
}

func jsonSignatureErrors() *signatureErrors {
	return &signatureErrors{
		skew:         5 * time.Minute,
		unknownKey:   Errorf("UnrecognizedClientException", invalidToken),
		mismatch:     Errorf("InvalidSignatureException", mismatchMessage),
		badToken:     Errorf("UnrecognizedClientException", invalidToken),
		expiredToken: Errorf("ExpiredTokenException", expiredToken),
		expiredURL:   Errorf("InvalidSignatureException", "Signature expired"),
		old:          Errorf("InvalidSignatureException", "Signature expired"),
	}
}

func s3SignatureErrors() *signatureErrors {
	return &signatureErrors{
		skew:         15 * time.Minute,
		unknownKey:   forbidden("InvalidAccessKeyId", "The AWS Access Key Id you provided does not exist in our records."),
		mismatch:     forbidden("SignatureDoesNotMatch", mismatchMessage),
		badToken:     Errorf("InvalidToken", "The provided token is malformed or otherwise invalid."),
		expiredToken: Errorf("ExpiredToken", "The provided token has expired."),
		expiredURL:   forbidden("AccessDenied", "Request has expired"),
		old:          forbidden("RequestTimeTooSkewed", "The difference between the request time and the current time is too large."),
	}
}

func forbidden(code, message string) *Error {
	return &Error{Code: code, Message: message, Status: http.StatusForbidden}
}

// skewed says both clocks, which is what the reader needs to see.
func (e *signatureErrors) skewed(signed, now time.Time) *Error {
	return &Error{Code: e.old.Code, Status: e.old.Status,
		Message: fmt.Sprintf("%s Signed at %s, received at %s.", e.old.Message, signed.Format(amzTime), now.UTC().Format(amzTime))}
}

// Expired is the answer to a request whose credentials have ended, in the
// words of the service it is for.
func Expired(service string) *Error { return wordsOf(service).expiredToken }
