package aws

import (
	"bytes"
	"context"
	"encoding/xml"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// keepBody stores an answer's body while the SDK reads it.
func keepBody(into *[]byte) func(*ec2.Options) {
	keep := middleware.DeserializeMiddlewareFunc("wpbakeKeepBody",
		func(ctx context.Context, in middleware.DeserializeInput, next middleware.DeserializeHandler) (
			middleware.DeserializeOutput, middleware.Metadata, error,
		) {
			out, md, err := next.HandleDeserialize(ctx, in)
			response, ok := out.RawResponse.(*smithyhttp.Response)
			if err != nil || !ok {
				return out, md, err
			}
			body, err := io.ReadAll(response.Body)
			if err == nil {
				err = response.Body.Close()
			}
			*into, response.Body = body, io.NopCloser(bytes.NewReader(body))
			return out, md, err
		})
	return func(o *ec2.Options) {
		o.APIOptions = append(o.APIOptions, func(s *middleware.Stack) error { return s.Deserialize.Add(keep, middleware.After) })
	}
}

// element is an XML element without attributes and mixed content, which EC2's
// answers do not have.
type element struct {
	name     string
	text     string
	children []*element
}

func parseXML(data []byte) (*element, error) {
	root := &element{}
	open := []*element{root}
	for d := xml.NewDecoder(bytes.NewReader(data)); ; {
		token, err := d.Token()
		if err == io.EOF {
			return root, nil
		}
		if err != nil {
			return nil, fmt.Errorf("parsing XML: %w", err)
		}
		top := open[len(open)-1]
		switch token := token.(type) {
		case xml.StartElement:
			child := &element{name: token.Name.Local}
			top.children = append(top.children, child)
			open = append(open, child)
		case xml.EndElement:
			open = open[:len(open)-1]
		case xml.CharData:
			top.text += string(token)
		}
	}
}

// find returns the first element of that name, depth first; nil when there is
// none.
func (e *element) find(name string) *element {
	if e.name == name {
		return e
	}
	for _, c := range e.children {
		if found := c.find(name); found != nil {
			return found
		}
	}
	return nil
}

// String is equal for elements that say the same: EC2 keeps no order among
// list items, and leaves out an empty element or not.
func (e *element) String() string {
	if len(e.children) == 0 {
		if strings.TrimSpace(e.text) == "" {
			return ""
		}
		return fmt.Sprintf("%s=%q", e.name, e.text)
	}
	var parts []string
	for _, c := range e.children {
		if s := c.String(); s != "" {
			parts = append(parts, s)
		}
	}
	if len(parts) == 0 {
		return ""
	}
	slices.Sort(parts)
	return e.name + "{" + strings.Join(parts, " ") + "}"
}

// changedFields names the launch template fields that differ, without user
// data, which a release changes on purpose.
func changedFields(source, made *element) []string {
	before, after := fieldTexts(source), fieldTexts(made)
	var changed []string
	for name, text := range before {
		if after[name] != text {
			changed = append(changed, name)
		}
	}
	for name := range after {
		if _, ok := before[name]; !ok {
			changed = append(changed, name)
		}
	}
	slices.Sort(changed)
	return changed
}

func fieldTexts(data *element) map[string]string {
	texts := map[string]string{}
	if data == nil {
		return texts
	}
	for _, field := range data.children {
		if field.name == "metadataOptions" {
			// AWS's progress in applying them is no setting.
			field = &element{name: field.name, children: slices.DeleteFunc(slices.Clone(field.children), func(c *element) bool { return c.name == "state" })}
		}
		if s := field.String(); s != "" && field.name != "userData" {
			texts[field.name] = s
		}
	}
	return texts
}
