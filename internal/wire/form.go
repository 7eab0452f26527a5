package wire

import (
	"encoding/base64"
	"fmt"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// maxFormDepth bounds nested names: the deepest that AWS has is eleven.
const maxFormDepth = 32

// form is a request's parameters as the tree that their dotted names make.
type form struct {
	value    string
	children map[string]*form
}

// parseForm reads form encoding. Names nested too deep are no parameter of
// anything and are left out.
func parseForm(body string) (*form, error) {
	values, err := url.ParseQuery(body)
	if err != nil {
		return nil, Errorf("MalformedQueryString", "The query string contains a syntax error: %v", err)
	}
	root := &form{}
	for name, all := range values {
		parts := strings.SplitN(name, ".", maxFormDepth+1)
		if len(parts) > maxFormDepth {
			continue
		}
		node := root
		for _, part := range parts {
			node = node.child(part)
		}
		node.value = all[0]
	}
	return root, nil
}

func (f *form) child(name string) *form {
	if f.children == nil {
		f.children = map[string]*form{}
	}
	if f.children[name] == nil {
		f.children[name] = &form{}
	}
	return f.children[name]
}

// items are the members of a list by number: of "Name.member.N", of the odd
// list with another word than member, or of the flat "Name.N".
func (f *form) items() []*form {
	if len(f.children) == 1 {
		for name, only := range f.children {
			if _, err := strconv.Atoi(name); err != nil && only.children != nil {
				return only.items()
			}
		}
	}
	var numbers []int
	for name := range f.children {
		if n, err := strconv.Atoi(name); err == nil && n > 0 && strconv.Itoa(n) == name {
			numbers = append(numbers, n)
		}
	}
	slices.Sort(numbers)
	items := make([]*form, len(numbers))
	for i, n := range numbers {
		items[i] = f.children[strconv.Itoa(n)]
	}
	return items
}

// nameOf gives the wire name of a type's field.
type nameOf func(t reflect.Type, field string) string

// fill decodes into the AWS SDK's types; name is the wire name for errors.
func (f *form) fill(v reflect.Value, names nameOf, name string) error {
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			v.Set(reflect.New(v.Type().Elem()))
		}
		return f.fill(v.Elem(), names, name)
	case reflect.Struct:
		if v.Type() == timeType() {
			return f.fillTime(v, name)
		}
		return f.fillStruct(v, names, name)
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			return f.fillBytes(v, name)
		}
		return f.fillList(v, names, name)
	default:
		return f.fillScalar(v, name)
	}
}

func (f *form) fillStruct(v reflect.Value, names nameOf, name string) error {
	t := v.Type()
	for i := range t.NumField() {
		field := t.Field(i)
		if !isMember(field) {
			continue
		}
		wireName := names(t, field.Name)
		child, ok := f.children[wireName]
		if !ok {
			continue
		}
		if err := child.fill(v.Field(i), names, strings.TrimPrefix(name+"."+wireName, ".")); err != nil {
			return err
		}
	}
	return nil
}

// fillList keeps the difference between a list that was not sent and an empty
// one, which clients send as a name without value.
func (f *form) fillList(v reflect.Value, names nameOf, name string) error {
	items := f.items()
	list := reflect.MakeSlice(v.Type(), len(items), len(items))
	for i, item := range items {
		if err := item.fill(list.Index(i), names, fmt.Sprintf("%s.%d", name, i+1)); err != nil {
			return err
		}
	}
	v.Set(list)
	return nil
}

func (f *form) fillBytes(v reflect.Value, name string) error {
	data, err := base64.StdEncoding.DecodeString(f.value)
	if err != nil {
		return malformed(name, f.value, "base64")
	}
	v.SetBytes(data)
	return nil
}

func (f *form) fillTime(v reflect.Value, name string) error {
	at, err := parseTime(f.value)
	if err != nil {
		return malformed(name, f.value, "timestamp")
	}
	v.Set(reflect.ValueOf(at))
	return nil
}

func (f *form) fillScalar(v reflect.Value, name string) error {
	switch v.Kind() {
	case reflect.String:
		v.SetString(f.value)
	case reflect.Bool:
		b, err := strconv.ParseBool(strings.ToLower(f.value))
		if err != nil {
			return malformed(name, f.value, "boolean")
		}
		v.SetBool(b)
	case reflect.Int32, reflect.Int64:
		n, err := strconv.ParseInt(f.value, 10, v.Type().Bits())
		if err != nil {
			return malformed(name, f.value, "integer")
		}
		v.SetInt(n)
	case reflect.Float32, reflect.Float64:
		n, err := strconv.ParseFloat(f.value, v.Type().Bits())
		if err != nil {
			return malformed(name, f.value, "number")
		}
		v.SetFloat(n)
	}
	return nil
}

func malformed(name, value, want string) error {
	return Errorf("MalformedInput", "Value (%s) for parameter %s is invalid. Expected: %s.", value, name, want)
}

// parseTime takes the forms that clients use: RFC 3339 with or without zone.
func parseTime(s string) (time.Time, error) {
	at, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		at, err = time.Parse("2006-01-02T15:04:05", s)
	}
	return at.UTC(), err
}

func timeType() reflect.Type { return reflect.TypeFor[time.Time]() }

// isMember tells a modelled member from the SDK's own fields.
func isMember(field reflect.StructField) bool {
	return field.IsExported() && field.Name != "ResultMetadata"
}
