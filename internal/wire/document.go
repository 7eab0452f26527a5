package wire

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"time"
)

// A document is what JSON and CBOR have in common: nil, bool, string, int64,
// float64, []byte, time.Time, []any and map[string]any. JSON decodes numbers
// as json.Number, and bytes and times as text and numbers.

// documentOf turns one of the AWS SDK's outputs into a document. Absent members
// are left out, except the answer's own lists.
func documentOf(v reflect.Value, top bool) any {
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			return nil
		}
		return documentOf(v.Elem(), top)
	case reflect.Struct:
		if v.Type() == timeType() {
			return v.Interface()
		}
		return documentOfStruct(v, top)
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			return v.Bytes()
		}
		list := make([]any, v.Len())
		for i := range list {
			list[i] = documentOf(v.Index(i), false)
		}
		return list
	case reflect.Map:
		members := map[string]any{}
		for _, key := range v.MapKeys() {
			members[key.String()] = documentOf(v.MapIndex(key), false)
		}
		return members
	case reflect.String:
		return v.String()
	case reflect.Bool:
		return v.Bool()
	case reflect.Int32, reflect.Int64:
		return v.Int()
	case reflect.Float32, reflect.Float64:
		return v.Float()
	}
	return nil
}

func documentOfStruct(v reflect.Value, top bool) map[string]any {
	members := map[string]any{}
	t := v.Type()
	for i := range t.NumField() {
		field := t.Field(i)
		if !isMember(field) || isToken(field.Name, v.Field(i)) || isAbsent(v.Field(i), top) {
			continue
		}
		members[field.Name] = documentOf(v.Field(i), false)
	}
	return members
}

func isAbsent(v reflect.Value, top bool) bool {
	switch v.Kind() {
	case reflect.Slice:
		return v.IsNil() && !(top && v.Type().Elem().Kind() != reflect.Uint8)
	case reflect.Pointer, reflect.Map, reflect.Interface:
		return v.IsNil()
	case reflect.String: // an enumeration
		return v.String() == ""
	}
	return false
}

// fillFrom decodes a document into one of the AWS SDK's inputs.
func fillFrom(v reflect.Value, document any, name string) error {
	if document == nil {
		return nil
	}
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		return fillFrom(v.Elem(), document, name)
	case reflect.Struct:
		if v.Type() == timeType() {
			return fillTimeFrom(v, document, name)
		}
		return fillStructFrom(v, document, name)
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			return fillBytesFrom(v, document, name)
		}
		return fillListFrom(v, document, name)
	case reflect.Map:
		return fillMapFrom(v, document, name)
	default:
		return fillScalarFrom(v, document, name)
	}
}

func fillStructFrom(v reflect.Value, document any, name string) error {
	members, ok := document.(map[string]any)
	if !ok {
		return unexpected(name, document, "structure")
	}
	t := v.Type()
	for i := range t.NumField() {
		if field := t.Field(i); isMember(field) {
			if err := fillFrom(v.Field(i), members[field.Name], name+"/"+field.Name); err != nil {
				return err
			}
		}
	}
	return nil
}

func fillListFrom(v reflect.Value, document any, name string) error {
	items, ok := document.([]any)
	if !ok {
		return unexpected(name, document, "list")
	}
	list := reflect.MakeSlice(v.Type(), len(items), len(items))
	for i, item := range items {
		if err := fillFrom(list.Index(i), item, fmt.Sprintf("%s/%d", name, i)); err != nil {
			return err
		}
	}
	v.Set(list)
	return nil
}

func fillMapFrom(v reflect.Value, document any, name string) error {
	members, ok := document.(map[string]any)
	if !ok {
		return unexpected(name, document, "map")
	}
	filled := reflect.MakeMapWithSize(v.Type(), len(members))
	for key, member := range members {
		value := reflect.New(v.Type().Elem()).Elem()
		if err := fillFrom(value, member, name+"/"+key); err != nil {
			return err
		}
		filled.SetMapIndex(reflect.ValueOf(key).Convert(v.Type().Key()), value)
	}
	v.Set(filled)
	return nil
}

func fillBytesFrom(v reflect.Value, document any, name string) error {
	switch d := document.(type) {
	case []byte:
		v.SetBytes(d)
		return nil
	case string:
		if data, err := base64.StdEncoding.DecodeString(d); err == nil {
			v.SetBytes(data)
			return nil
		}
	}
	return unexpected(name, document, "blob")
}

func fillTimeFrom(v reflect.Value, document any, name string) error {
	at, ok := document.(time.Time)
	if !ok {
		seconds, isNumber := number(document)
		if !isNumber || math.Abs(seconds) > math.MaxInt32*100 {
			return unexpected(name, document, "timestamp")
		}
		at = time.UnixMilli(int64(math.Round(seconds * 1000))).UTC()
	}
	v.Set(reflect.ValueOf(at))
	return nil
}

func fillScalarFrom(v reflect.Value, document any, name string) error {
	switch v.Kind() {
	case reflect.String:
		if s, ok := document.(string); ok {
			v.SetString(s)
			return nil
		}
	case reflect.Bool:
		if b, ok := document.(bool); ok {
			v.SetBool(b)
			return nil
		}
	case reflect.Int32, reflect.Int64:
		if n, ok := integer(document); ok && !v.OverflowInt(n) {
			v.SetInt(n)
			return nil
		}
	case reflect.Float32, reflect.Float64:
		if n, ok := number(document); ok {
			v.SetFloat(n)
			return nil
		}
	default: // a union or a free document: nothing that is served here reads one
		return nil
	}
	return unexpected(name, document, v.Kind().String())
}

func integer(document any) (int64, bool) {
	switch d := document.(type) {
	case int64:
		return d, true
	case json.Number:
		n, err := d.Int64()
		return n, err == nil
	}
	return 0, false
}

func number(document any) (float64, bool) {
	switch d := document.(type) {
	case float64:
		return d, true
	case int64:
		return float64(d), true
	case json.Number:
		n, err := d.Float64()
		return n, err == nil
	}
	return 0, false
}

func unexpected(name string, document any, want string) error {
	return Errorf("SerializationException", "%T can not be converted to a %s at %s", document, want, name)
}
