package wire

import (
	"bytes"
	"encoding/json"
	"net/http"
	"reflect"
	"strings"
	"time"
)

// JSON is the awsJson protocol of SSM and KMS (1.1) and of newer CloudWatch
// clients (1.0).
type JSON struct {
	Version string // "1.0" or "1.1"
}

// Request implements Protocol. The action stands behind the service's own
// prefix in a header.
func (JSON) Request(r *http.Request) (Request, error) {
	target := r.Header.Get("X-Amz-Target")
	_, action, ok := strings.Cut(target, ".")
	if !ok {
		return Request{}, Errorf("UnknownOperationException", "The X-Amz-Target header %q names no operation.", target)
	}
	body, err := Buffer(r, MaxBody)
	if err != nil {
		return Request{}, err
	}
	return Request{Action: action, Fill: func(input any) error { return fillJSON(input, body) }}, nil
}

func fillJSON(input any, body []byte) error {
	if len(body) == 0 {
		return nil
	}
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.UseNumber()
	var document any
	if err := decoder.Decode(&document); err != nil {
		return Errorf("SerializationException", "The request body is not valid JSON: %v", err)
	}
	return fillFrom(reflect.ValueOf(input).Elem(), document, "")
}

// WriteOutput implements Protocol.
func (p JSON) WriteOutput(w http.ResponseWriter, a Answer) {
	document := jsonTimes(documentOf(reflect.ValueOf(a.Output), true))
	p.write(w, http.StatusOK, a.RequestID, document)
}

// WriteError implements Protocol.
func (p JSON) WriteError(w http.ResponseWriter, err *Error, requestID string) {
	p.write(w, err.status(), requestID, map[string]any{"__type": jsonCode(err.Code), "message": err.Message})
}

// jsonCode gives the one error that has another name in these services.
func jsonCode(code string) string {
	if code == "InvalidAction" {
		return "UnknownOperationException"
	}
	return code
}

func (p JSON) write(w http.ResponseWriter, status int, requestID string, document any) {
	body, err := json.Marshal(document)
	if err != nil { // a number that JSON does not have
		status, body = http.StatusInternalServerError, []byte(`{"__type":"InternalFailure"}`)
	}
	w.Header().Set("X-Amzn-RequestId", requestID)
	write(w, status, "application/x-amz-json-"+p.Version, body)
}

// jsonTimes turns times into seconds since 1970, as these protocols have them.
func jsonTimes(document any) any {
	switch d := document.(type) {
	case time.Time:
		return float64(d.UnixMilli()) / 1000
	case []any:
		for i := range d {
			d[i] = jsonTimes(d[i])
		}
	case map[string]any:
		for key := range d {
			d[key] = jsonTimes(d[key])
		}
	}
	return document
}
