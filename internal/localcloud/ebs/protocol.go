package ebs

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ebs"
	"github.com/aws/aws-sdk-go-v2/service/ebs/types"

	"github.com/wpbake/wpbake/internal/wire"
)

// Protocol is how these calls are written down: restJson1.
type Protocol struct{}

// route is a request's path taken apart.
type route struct {
	action, snapshot string
	index            *int32
}

// routeOf knows an action by method and path.
func routeOf(r *http.Request) (route, bool) {
	parts := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	at := func(n int) string {
		if n < len(parts) {
			return parts[n]
		}
		return ""
	}
	switch {
	case at(0) != "snapshots" || len(parts) > 4:
	case r.Method == http.MethodPost && len(parts) == 1:
		return route{action: "StartSnapshot"}, true
	case r.Method == http.MethodPost && len(parts) == 3 && at(1) == "completion":
		return route{action: "CompleteSnapshot", snapshot: at(2)}, true
	case r.Method == http.MethodGet && len(parts) == 3 && at(2) == "blocks":
		return route{action: "ListSnapshotBlocks", snapshot: at(1)}, true
	case r.Method == http.MethodGet && len(parts) == 3 && at(2) == "changedblocks":
		return route{action: "ListChangedBlocks", snapshot: at(1)}, true
	case len(parts) == 4 && at(2) == "blocks":
		action, known := map[string]string{http.MethodGet: "GetSnapshotBlock", http.MethodPut: "PutSnapshotBlock"}[r.Method]
		index, err := strconv.ParseInt(at(3), 10, 32)
		return route{action, at(1), aws.Int32(int32(index))}, known && err == nil
	}
	return route{}, false
}

// Request implements wire.Protocol.
func (Protocol) Request(r *http.Request) (wire.Request, error) {
	found, ok := routeOf(r)
	if !ok {
		return wire.Request{}, &wire.Error{Code: "UnknownOperationException", Status: http.StatusNotFound, Message: r.Method + " " + r.URL.Path + " is no operation."}
	}
	return wire.Request{Action: found.action, Fill: func(input any) error { return fill(input, r, found) }}, nil
}

func fill(input any, r *http.Request, found route) error {
	query := parameters{values: r.URL.Query()}
	headers := parameters{values: url.Values(r.Header), header: true}
	switch in := input.(type) {
	case *ebs.StartSnapshotInput:
		body, err := wire.Buffer(r, wire.MaxBody)
		if err != nil {
			return err
		}
		if err := json.Unmarshal(body, in); err != nil {
			return wire.Errorf("SerializationException", "The request body is not valid: %v", err)
		}
	case *ebs.PutSnapshotBlockInput:
		body, err := wire.Buffer(r, wire.MaxBody)
		if err != nil {
			return err
		}
		in.SnapshotId, in.BlockIndex, in.BlockData = &found.snapshot, found.index, bytes.NewReader(body)
		in.Checksum, in.ChecksumAlgorithm = headers.text("x-amz-Checksum"), types.ChecksumAlgorithm(aws.ToString(headers.text("x-amz-Checksum-Algorithm")))
		in.DataLength, in.Progress = headers.number("x-amz-Data-Length"), headers.number("x-amz-Progress")
	case *ebs.CompleteSnapshotInput:
		in.SnapshotId, in.ChangedBlocksCount, in.Checksum = &found.snapshot, headers.number("x-amz-ChangedBlocksCount"), headers.text("x-amz-Checksum")
		in.ChecksumAlgorithm = types.ChecksumAlgorithm(aws.ToString(headers.text("x-amz-Checksum-Algorithm")))
		in.ChecksumAggregationMethod = types.ChecksumAggregationMethod(aws.ToString(headers.text("x-amz-Checksum-Aggregation-Method")))
	case *ebs.ListSnapshotBlocksInput:
		in.SnapshotId, in.NextToken = &found.snapshot, query.text("pageToken")
		in.MaxResults, in.StartingBlockIndex = query.number("maxResults"), query.number("startingBlockIndex")
	case *ebs.ListChangedBlocksInput:
		in.SecondSnapshotId, in.FirstSnapshotId, in.NextToken = &found.snapshot, query.text("firstSnapshotId"), query.text("pageToken")
		in.MaxResults, in.StartingBlockIndex = query.number("maxResults"), query.number("startingBlockIndex")
	case *ebs.GetSnapshotBlockInput:
		in.SnapshotId, in.BlockIndex, in.BlockToken = &found.snapshot, found.index, query.text("blockToken")
	}
	if query.err != nil {
		return query.err
	}
	return headers.err
}

// parameters are a request's query or headers; err is about the first that is
// no number.
type parameters struct {
	values url.Values
	header bool
	err    error
}

func (p *parameters) text(name string) *string {
	if p.header {
		name = http.CanonicalHeaderKey(name)
	}
	if !p.values.Has(name) {
		return nil
	}
	return aws.String(p.values.Get(name))
}

func (p *parameters) number(name string) *int32 {
	text := p.text(name)
	if text == nil {
		return nil
	}
	n, err := strconv.ParseInt(*text, 10, 32)
	if err != nil && p.err == nil {
		p.err = invalid(types.ValidationExceptionReasonInvalidParameterValue, "%s is no number: %q", name, *text)
	}
	return aws.Int32(int32(n))
}

// WriteOutput implements wire.Protocol.
func (p Protocol) WriteOutput(w http.ResponseWriter, a wire.Answer) {
	switch out := a.Output.(type) {
	case *ebs.StartSnapshotOutput:
		p.write(w, http.StatusCreated, a.RequestID, document{
			"SnapshotId": out.SnapshotId, "OwnerId": out.OwnerId, "Status": out.Status, "StartTime": seconds(out.StartTime),
			"VolumeSize": out.VolumeSize, "BlockSize": out.BlockSize, "Description": out.Description, "KmsKeyArn": out.KmsKeyArn,
			"ParentSnapshotId": out.ParentSnapshotId, "SseType": out.SseType, "Tags": out.Tags,
		})
	case *ebs.PutSnapshotBlockOutput:
		w.Header().Set("X-Amz-Checksum", aws.ToString(out.Checksum))
		w.Header().Set("X-Amz-Checksum-Algorithm", string(out.ChecksumAlgorithm))
		p.write(w, http.StatusCreated, a.RequestID, document{})
	case *ebs.CompleteSnapshotOutput:
		p.write(w, http.StatusAccepted, a.RequestID, document{"Status": out.Status})
	case *ebs.ListSnapshotBlocksOutput:
		p.write(w, http.StatusOK, a.RequestID, document{
			"Blocks": orEmpty(out.Blocks), "ExpiryTime": seconds(out.ExpiryTime), "VolumeSize": out.VolumeSize, "BlockSize": out.BlockSize, "NextToken": out.NextToken,
		})
	case *ebs.ListChangedBlocksOutput:
		p.write(w, http.StatusOK, a.RequestID, document{
			"ChangedBlocks": orEmpty(out.ChangedBlocks), "ExpiryTime": seconds(out.ExpiryTime), "VolumeSize": out.VolumeSize, "BlockSize": out.BlockSize, "NextToken": out.NextToken,
		})
	case *ebs.GetSnapshotBlockOutput:
		defer out.BlockData.Close()
		w.Header().Set("X-Amzn-RequestId", a.RequestID)
		w.Header().Set("Content-Type", "application/octet-stream")
		w.Header().Set("X-Amz-Data-Length", strconv.Itoa(int(aws.ToInt32(out.DataLength))))
		w.Header().Set("X-Amz-Checksum", aws.ToString(out.Checksum))
		w.Header().Set("X-Amz-Checksum-Algorithm", string(out.ChecksumAlgorithm))
		_, _ = io.Copy(w, out.BlockData) // the client is gone, nobody is left to tell
	}
}

func orEmpty[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

func seconds(at *time.Time) float64 { return float64(at.UnixMilli()) / 1000 }

// WriteError implements wire.Protocol.
func (p Protocol) WriteError(w http.ResponseWriter, err *wire.Error, requestID string) {
	status := err.Status
	if status == 0 {
		status = http.StatusBadRequest
	}
	w.Header().Set("X-Amzn-ErrorType", err.Code)
	answer := document{"__type": err.Code, "Message": err.Message}
	if err.Reason != "" {
		answer["Reason"] = err.Reason
	}
	p.write(w, status, requestID, answer)
}

// document is a JSON object; members that are nil or empty are left out.
type document map[string]any

func (Protocol) write(w http.ResponseWriter, status int, requestID string, answer document) {
	for name, value := range answer {
		switch v := value.(type) {
		case *string:
			if v == nil {
				delete(answer, name)
			}
		case []types.Tag:
			if v == nil {
				delete(answer, name)
			}
		}
	}
	body, err := json.Marshal(answer)
	if err != nil { // nothing of these is not JSON
		status, body = http.StatusInternalServerError, []byte(`{"__type":"InternalServerException"}`)
	}
	w.Header().Set("X-Amzn-RequestId", requestID)
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(body) // the client is gone, nobody is left to tell
}
