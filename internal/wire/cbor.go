package wire

import (
	"math"
	"net/http"
	"reflect"
	"strings"
	"time"

	"github.com/aws/smithy-go/encoding/cbor"
)

// CBOR is the rpc-v2-cbor protocol of the Go SDK's CloudWatch client.
type CBOR struct{}

const (
	cborEpochTime = 1 // RFC 8949's tag for seconds since 1970
	// maxCBOR is smaller than MaxBody, as each byte can nest one level deeper
	// and the decoder recurses.
	maxCBOR = MaxBody / 4
)

// Request implements Protocol. The action is the last part of
// /service/NAME/operation/ACTION.
func (CBOR) Request(r *http.Request) (Request, error) {
	_, action, ok := strings.Cut(r.URL.Path, "/operation/")
	if !ok {
		return Request{}, Errorf("UnknownOperationException", "The path %q names no operation.", r.URL.Path)
	}
	body, err := Buffer(r, maxCBOR)
	if err != nil {
		return Request{}, err
	}
	return Request{Action: action, Fill: func(input any) error { return fillCBOR(input, body) }}, nil
}

func fillCBOR(input any, body []byte) error {
	if len(body) == 0 {
		return nil
	}
	value, err := cbor.Decode(body)
	if err != nil {
		return Errorf("SerializationException", "The request body is not valid CBOR: %v", err)
	}
	return fillFrom(reflect.ValueOf(input).Elem(), documentFromCBOR(value), "")
}

// WriteOutput implements Protocol.
func (p CBOR) WriteOutput(w http.ResponseWriter, a Answer) {
	p.write(w, http.StatusOK, a.RequestID, documentOf(reflect.ValueOf(a.Output), true))
}

// WriteError implements Protocol. The header carries the code of the query
// protocol that these services used to speak; the Go SDK prefers it.
func (p CBOR) WriteError(w http.ResponseWriter, err *Error, requestID string) {
	w.Header().Set("X-Amzn-Query-Error", err.Code+";"+err.fault())
	p.write(w, err.status(), requestID, map[string]any{"__type": jsonCode(err.Code), "message": err.Message})
}

func (CBOR) write(w http.ResponseWriter, status int, requestID string, document any) {
	w.Header().Set("Smithy-Protocol", "rpc-v2-cbor")
	w.Header().Set("X-Amzn-RequestId", requestID)
	write(w, status, "application/cbor", cbor.Encode(cborOf(document)))
}

func cborOf(document any) cbor.Value {
	switch d := document.(type) {
	case string:
		return cbor.String(d)
	case bool:
		return cbor.Bool(d)
	case int64:
		if d < 0 {
			return cbor.NegInt(uint64(-d))
		}
		return cbor.Uint(uint64(d))
	case float64:
		return cbor.Float64(d)
	case []byte:
		return cbor.Slice(d)
	case time.Time:
		return &cbor.Tag{ID: cborEpochTime, Value: cbor.Float64(float64(d.UnixMilli()) / 1000)}
	case []any:
		list := make(cbor.List, len(d))
		for i, item := range d {
			list[i] = cborOf(item)
		}
		return list
	case map[string]any:
		members := cbor.Map{}
		for key, member := range d {
			members[key] = cborOf(member)
		}
		return members
	}
	return &cbor.Nil{}
}

func documentFromCBOR(value cbor.Value) any {
	switch v := value.(type) {
	case cbor.String:
		return string(v)
	case cbor.Bool:
		return bool(v)
	case cbor.Uint:
		if v <= math.MaxInt64 {
			return int64(v)
		}
		return float64(v)
	case cbor.NegInt:
		return -int64(v) // the one value below every int64 wraps to its nearest
	case cbor.Float32:
		return float64(v)
	case cbor.Float64:
		return float64(v)
	case cbor.Slice:
		return []byte(v)
	case *cbor.Tag:
		return documentFromCBOR(v.Value)
	case cbor.List:
		list := make([]any, len(v))
		for i, item := range v {
			list[i] = documentFromCBOR(item)
		}
		return list
	case cbor.Map:
		members := map[string]any{}
		for key, member := range v {
			members[key] = documentFromCBOR(member)
		}
		return members
	}
	return nil
}
