package ec2

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"maps"
	"time"

	"github.com/wpbake/wpbake/internal/wire"
)

// tokenAge is how long a client token is remembered.
const tokenAge = 24 * time.Hour

// token remembers what a call with a client token made.
type token struct {
	Request string // digest of the call's parameters
	Made    []string
	At      time.Time
}

// remembered finds what an earlier call with the same client token made, nil
// when there was none. It needs the mutex.
func (s *Service) remembered(operation string, clientToken *string, input any) ([]string, error) {
	if clientToken == nil || *clientToken == "" {
		return nil, nil
	}
	known, ok := s.state.Tokens[operation+"/"+*clientToken]
	if !ok || time.Since(known.At) > s.scaled(tokenAge) {
		return nil, nil
	}
	if known.Request != digest(input) {
		return nil, wire.Errorf("IdempotentParameterMismatch",
			"The client token '%s' was used with other parameters before.", *clientToken)
	}
	return known.Made, nil
}

// remember needs the mutex.
func (s *Service) remember(operation string, clientToken *string, input any, made ...string) {
	if clientToken == nil || *clientToken == "" {
		return
	}
	maps.DeleteFunc(s.state.Tokens, func(_ string, t token) bool { return time.Since(t.At) > s.scaled(tokenAge) })
	s.state.Tokens[operation+"/"+*clientToken] = token{Request: digest(input), Made: made, At: time.Now()}
}

func digest(input any) string {
	text, err := json.Marshal(input)
	if err != nil { // the SDK's inputs hold nothing that JSON does not have
		return err.Error()
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}
