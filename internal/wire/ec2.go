package wire

import (
	"net/http"
	"reflect"
	"strings"
)

//go:generate go run ./ec2names

// EC2 is the ec2Query protocol, where members have other names in requests
// and in answers than in the AWS SDK's types.
type EC2 struct{}

const ec2Namespace = "http://ec2.amazonaws.com/doc/2016-11-15/"

// EC2Knows reports whether the names of an operation's members are known;
// it must not be served otherwise.
func EC2Knows(operation string) bool { return ec2Knows(operation) }

// Request implements Protocol.
func (EC2) Request(r *http.Request) (Request, error) {
	return formRequest(r, ec2Request)
}

// WriteOutput implements Protocol.
func (EC2) WriteOutput(w http.ResponseWriter, a Answer) {
	x := &xmlWriter{names: xmlNames{member: ec2Answer, item: ec2Item}}
	x.WriteString(xmlHeader + "<" + a.Action + `Response xmlns="` + ec2Namespace + `">`)
	x.text("requestId", a.RequestID)
	output := reflect.ValueOf(a.Output).Elem()
	if isBare(output.Type()) {
		x.text("return", "true")
	}
	x.members(output, true)
	x.close(a.Action + "Response")
	write(w, http.StatusOK, xmlType, x.Bytes())
}

// isBare finds the outputs without members, which EC2 answers with a plain
// true.
func isBare(t reflect.Type) bool {
	for i := range t.NumField() {
		if isMember(t.Field(i)) {
			return false
		}
	}
	return true
}

// WriteError implements Protocol.
func (EC2) WriteError(w http.ResponseWriter, err *Error, requestID string) {
	x := &xmlWriter{}
	x.WriteString(xmlHeader + "<Response><Errors><Error>")
	x.text("Code", err.Code)
	x.text("Message", err.Message)
	x.WriteString("</Error></Errors>")
	x.text("RequestID", requestID)
	x.close("Response")
	write(w, err.status(), xmlType, x.Bytes())
}

func ec2Request(t reflect.Type, field string) string {
	if name := ec2RequestName(t.Name() + "." + field); name != "" {
		return name
	}
	return field
}

func ec2Answer(t reflect.Type, field string) string {
	if name := ec2AnswerName(t.Name() + "." + field); name != "" {
		return name
	}
	return strings.ToLower(field[:1]) + field[1:]
}

func ec2Item(t reflect.Type, field string) string {
	if name := ec2ItemName(t.Name() + "." + field); name != "" {
		return name
	}
	return "item"
}
