package wire

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/http"
)

// MaxBody is the largest request body that is read of anything but S3, whose
// bodies never come through this package.
const MaxBody = 1 << 20

// Protocol is one of AWS's ways to write a call down: Query, EC2, JSON or CBOR.
type Protocol interface {
	// Request reads which action is asked for and how its input is filled.
	Request(r *http.Request) (Request, error)
	WriteOutput(w http.ResponseWriter, answer Answer)
	WriteError(w http.ResponseWriter, err *Error, requestID string)
}

// Request is a call before its parameters are decoded.
type Request struct {
	Action string
	Fill   func(input any) error
}

// Answer is what an action returned.
type Answer struct {
	Action    string
	Output    any // pointer to one of the AWS SDK's output types
	RequestID string
}

// Serve answers one call. Parameters that the SDK's input type does not have
// are ignored, as they may come from a client newer than it.
func Serve(w http.ResponseWriter, r *http.Request, p Protocol, actions Actions) {
	id := RequestID()
	request, err := p.Request(r)
	if err != nil {
		p.WriteError(w, asError(err), id)
		return
	}
	action, ok := actions[request.Action]
	if !ok {
		p.WriteError(w, Errorf("InvalidAction", "The action %s is not valid for this web service.", request.Action), id)
		return
	}
	input := action.NewInput()
	if err := request.Fill(input); err != nil {
		p.WriteError(w, asError(err), id)
		return
	}
	output, err := action.Call(r.Context(), input)
	if err != nil {
		p.WriteError(w, asError(err), id)
		return
	}
	p.WriteOutput(w, Answer{Action: request.Action, Output: output, RequestID: id})
}

// asError turns what is not an AWS error into the one AWS has for its own
// trouble; clients retry it.
func asError(err error) *Error {
	var known *Error
	if errors.As(err, &known) {
		return known
	}
	return &Error{Code: "InternalFailure", Message: err.Error(), Status: http.StatusInternalServerError}
}

// RequestID makes the identifier that every answer carries.
func RequestID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails: crypto/rand ends the program instead
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// Buffer reads a request's body, up to limit, and puts it back.
func Buffer(r *http.Request, limit int64) ([]byte, error) {
	if r.Body == nil {
		return nil, nil
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, limit+1))
	if err != nil {
		return nil, fmt.Errorf("reading request body: %w", err)
	}
	if int64(len(body)) > limit {
		return nil, &Error{Code: "RequestEntityTooLarge", Status: http.StatusRequestEntityTooLarge,
			Message: fmt.Sprintf("The request body is larger than %d bytes.", limit)}
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	return body, nil
}

func (e *Error) status() int {
	if e.Status == 0 {
		return http.StatusBadRequest
	}
	return e.Status
}

// fault is the party that AWS blames.
func (e *Error) fault() string {
	if e.status() >= http.StatusInternalServerError {
		return "Receiver"
	}
	return "Sender"
}

func write(w http.ResponseWriter, status int, contentType string, body []byte) {
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Content-Length", fmt.Sprint(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body) // the client is gone, nobody is left to tell
}
