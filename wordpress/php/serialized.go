package php

import (
	"strconv"
	"strings"
)

// FlatArray reads the strings of a PHP-serialized flat array, such as option
// active_plugins: values, or with keys the keys. ok is false for anything else.
func FlatArray(s string, keys bool) (found []string, ok bool) {
	p := serializedReader{rest: s}
	n, ok := p.head("a:")
	if !ok || !p.accept("{") {
		return nil, false
	}
	for range n {
		key, isText, ok := p.scalar()
		if !ok {
			return nil, false
		}
		value, valueText, ok := p.scalar()
		if !ok {
			return nil, false
		}
		switch {
		case keys && isText:
			found = append(found, key)
		case !keys && valueText:
			found = append(found, value)
		}
	}
	return found, p.rest == "}"
}

// serializedReader reads what PHP's serialize wrote, as far as flat arrays need it.
type serializedReader struct{ rest string }

func (p *serializedReader) accept(token string) (ok bool) {
	p.rest, ok = strings.CutPrefix(p.rest, token)
	return ok
}

// head reads a kind and its length, such as "a:3:".
func (p *serializedReader) head(kind string) (int, bool) {
	if !p.accept(kind) {
		return 0, false
	}
	digits, rest, ok := strings.Cut(p.rest, ":")
	n, err := strconv.Atoi(digits)
	if !ok || err != nil || n < 0 || n > len(rest) {
		return 0, false
	}
	p.rest = rest
	return n, true
}

// scalar reads a string, number or truth.
func (p *serializedReader) scalar() (value string, text, ok bool) {
	if n, ok := p.head("s:"); ok {
		if len(p.rest) < n+3 || p.rest[0] != '"' || p.rest[n+1:n+3] != `";` {
			return "", false, false
		}
		value, p.rest = p.rest[1:n+1], p.rest[n+3:]
		return value, true, true
	}
	for _, kind := range []string{"i:", "b:", "d:"} {
		if p.accept(kind) {
			value, p.rest, ok = strings.Cut(p.rest, ";")
			return value, false, ok
		}
	}
	return "", false, p.accept("N;")
}
