package wire

import (
	"bytes"
	"encoding/base64"
	"encoding/xml"
	"reflect"
	"strconv"
	"time"
)

const (
	xmlHeader  = `<?xml version="1.0" encoding="UTF-8"?>` + "\n"
	xmlType    = "text/xml;charset=UTF-8"
	timeLayout = "2006-01-02T15:04:05.000Z"
)

// xmlNames says how one protocol calls elements.
type xmlNames struct {
	member nameOf // of a type's field
	item   nameOf // of what is inside the list in that field
	// emptyLists makes every list without elements an empty element; else only
	// the answer's own lists are, those of its parts are left out when nil.
	emptyLists bool
}

// xmlWriter writes the AWS SDK's output types as AWS does: absent scalars and
// structures have no element, as both SDKs choke on empty ones.
type xmlWriter struct {
	bytes.Buffer
	names xmlNames
}

func (w *xmlWriter) open(name string) {
	w.WriteByte('<')
	w.WriteString(name)
	w.WriteByte('>')
}

func (w *xmlWriter) close(name string) {
	w.WriteString("</")
	w.WriteString(name)
	w.WriteByte('>')
}

func (w *xmlWriter) text(name, value string) {
	w.open(name)
	_ = xml.EscapeText(&w.Buffer, []byte(value)) // a bytes.Buffer takes everything
	w.close(name)
}

// members writes what is inside a structure's element.
func (w *xmlWriter) members(v reflect.Value, top bool) {
	t := v.Type()
	for i := range t.NumField() {
		field := t.Field(i)
		if !isMember(field) {
			continue
		}
		name := w.names.member(t, field.Name)
		if field.Type.Kind() == reflect.Slice && field.Type.Elem().Kind() != reflect.Uint8 {
			w.list(name, w.names.item(t, field.Name), v.Field(i), top)
			continue
		}
		if isToken(field.Name, v.Field(i)) {
			continue
		}
		w.value(name, v.Field(i))
	}
}

func (w *xmlWriter) list(name, item string, v reflect.Value, top bool) {
	if v.IsNil() && !top && !w.names.emptyLists {
		return
	}
	w.open(name)
	for i := range v.Len() {
		w.value(item, v.Index(i))
	}
	w.close(name)
}

// value writes an element unless the value is absent.
func (w *xmlWriter) value(name string, v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			return
		}
		if v.Elem().Kind() == reflect.String {
			w.text(name, v.Elem().String())
			return
		}
		w.value(name, v.Elem())
	case reflect.Struct:
		if v.Type() == timeType() {
			w.text(name, v.Interface().(time.Time).UTC().Format(timeLayout))
			return
		}
		w.open(name)
		w.members(v, false)
		w.close(name)
	case reflect.Slice: // of bytes
		if !v.IsNil() {
			w.text(name, base64.StdEncoding.EncodeToString(v.Bytes()))
		}
	case reflect.String: // an enumeration, or a string in a list
		if v.String() != "" {
			w.text(name, v.String())
		}
	case reflect.Bool:
		w.text(name, strconv.FormatBool(v.Bool()))
	case reflect.Int32, reflect.Int64:
		w.text(name, strconv.FormatInt(v.Int(), 10))
	case reflect.Float32, reflect.Float64:
		w.text(name, strconv.FormatFloat(v.Float(), 'f', -1, v.Type().Bits()))
	}
}

// isToken finds the empty next token: a client that only asks whether there is
// one would page for ever.
func isToken(field string, v reflect.Value) bool {
	if field != "NextToken" && field != "NextMarker" {
		return false
	}
	return v.Kind() == reflect.Pointer && !v.IsNil() && v.Elem().String() == ""
}
