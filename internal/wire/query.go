package wire

import (
	"net/http"
	"reflect"
)

// Query is the awsQuery protocol of Auto Scaling, Elastic Load Balancing, STS
// and of older CloudWatch clients.
type Query struct {
	Namespace string // such as "http://autoscaling.amazonaws.com/doc/2011-01-01/"
}

// Request implements Protocol.
func (Query) Request(r *http.Request) (Request, error) {
	return formRequest(r, queryName)
}

// WriteOutput implements Protocol. The result element is there even when
// nothing is in it: the Go SDK fails without.
func (q Query) WriteOutput(w http.ResponseWriter, a Answer) {
	x := &xmlWriter{names: xmlNames{member: queryName, item: queryItem, emptyLists: true}}
	x.WriteString(xmlHeader + "<" + a.Action + `Response xmlns="` + q.Namespace + `">`)
	x.open(a.Action + "Result")
	x.members(reflect.ValueOf(a.Output).Elem(), true)
	x.close(a.Action + "Result")
	x.open("ResponseMetadata")
	x.text("RequestId", a.RequestID)
	x.close("ResponseMetadata")
	x.close(a.Action + "Response")
	write(w, http.StatusOK, xmlType, x.Bytes())
}

// WriteError implements Protocol.
func (q Query) WriteError(w http.ResponseWriter, err *Error, requestID string) {
	x := &xmlWriter{}
	x.WriteString(xmlHeader + `<ErrorResponse xmlns="` + q.Namespace + `">`)
	x.open("Error")
	x.text("Type", err.fault())
	x.text("Code", err.Code)
	x.text("Message", err.Message)
	x.close("Error")
	x.text("RequestId", requestID)
	x.close("ErrorResponse")
	write(w, err.status(), xmlType, x.Bytes())
}

// formRequest reads the parameters of a form body, and of the URL as some
// clients still send them.
func formRequest(r *http.Request, names nameOf) (Request, error) {
	body, err := Buffer(r, MaxBody)
	if err != nil {
		return Request{}, err
	}
	text := string(body)
	if r.URL.RawQuery != "" {
		text += "&" + r.URL.RawQuery
	}
	parameters, err := parseForm(text)
	if err != nil {
		return Request{}, err
	}
	action := parameters.child("Action").value
	if action == "" {
		return Request{}, Errorf("MissingAction", "The request is missing an Action parameter.")
	}
	return Request{Action: action, Fill: func(input any) error {
		return parameters.fill(reflect.ValueOf(input), names, "")
	}}, nil
}

// queryName is the Go field's name, but for one member of Auto Scaling's.
func queryName(t reflect.Type, field string) string {
	if isReferences(t, field) {
		return "Reference"
	}
	return field
}

func queryItem(t reflect.Type, field string) string {
	if isReferences(t, field) {
		return "item"
	}
	return "member"
}

func isReferences(t reflect.Type, field string) bool {
	return t.Name() == "CpuPerformanceFactorRequest" && field == "References"
}
