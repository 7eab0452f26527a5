package php

import (
	"strconv"
	"strings"
)

// Assignments is what a PHP file assigns to variables as literals.
type Assignments struct {
	Text   map[string]string
	Number map[string]int
}

// ReadAssignments reads assignments of literals to variables, such as
// $wp_version = '7.0.3';. It never runs anything: a value that is computed is
// no value. As in PHP, the last assignment counts.
func ReadAssignments(src []byte) Assignments {
	a := Assignments{Text: map[string]string{}, Number: map[string]int{}}
	s := &scanner{rest: string(src)}
	for s.skipTo('$') {
		name := s.identifier()
		s.blank()
		if name == "" || !s.accept("=") || strings.HasPrefix(s.rest, "=") {
			continue
		}
		s.blank()
		delete(a.Text, name)
		delete(a.Number, name)
		if s.rest != "" && (s.rest[0] == '\'' || s.rest[0] == '"') {
			value, ok := s.quoted()
			if s.blank(); ok && s.accept(";") {
				a.Text[name] = value
			}
			continue
		}
		if n, err := strconv.Atoi(s.digits()); err == nil {
			if s.blank(); s.accept(";") {
				a.Number[name] = n
			}
		}
	}
	return a
}

// scanner moves through PHP source, past what is not code.
type scanner struct{ rest string }

// skipTo moves behind the next c that is code: not in a comment, not in a
// string.
func (s *scanner) skipTo(c byte) bool {
	for s.rest != "" {
		switch {
		case s.comment():
		case s.rest[0] == '\'' || s.rest[0] == '"':
			s.quoted()
		case s.rest[0] == c:
			s.rest = s.rest[1:]
			return true
		default:
			s.rest = s.rest[1:]
		}
	}
	return false
}

// comment moves behind a comment that starts here.
func (s *scanner) comment() bool {
	switch {
	case strings.HasPrefix(s.rest, "/*"):
		_, s.rest, _ = strings.Cut(s.rest[2:], "*/")
	case strings.HasPrefix(s.rest, "//"), strings.HasPrefix(s.rest, "#") && !strings.HasPrefix(s.rest, "#["):
		end := strings.IndexAny(s.rest, "\r\n")
		if end < 0 {
			end = len(s.rest)
		}
		s.rest = s.rest[end:]
	default:
		return false
	}
	return true
}

// blank moves behind white space and comments.
func (s *scanner) blank() {
	for {
		s.rest = strings.TrimLeft(s.rest, " \t\r\n")
		if !s.comment() {
			return
		}
	}
}

func (s *scanner) accept(token string) (ok bool) {
	s.rest, ok = strings.CutPrefix(s.rest, token)
	return ok
}

func (s *scanner) identifier() string {
	return s.take(func(c byte) bool {
		return c == '_' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= 0x80
	})
}

func (s *scanner) digits() string {
	return s.take(func(c byte) bool { return c >= '0' && c <= '9' })
}

func (s *scanner) take(in func(byte) bool) string {
	n := 0
	for n < len(s.rest) && in(s.rest[n]) {
		n++
	}
	token := s.rest[:n]
	s.rest = s.rest[n:]
	return token
}

// quoted moves behind the string that starts here and returns what it holds.
// A string with escapes or variables in it, or without an end, has no value.
func (s *scanner) quoted() (value string, ok bool) {
	quote, plain := s.rest[0], true
	for i := 1; i < len(s.rest); i++ {
		switch c := s.rest[i]; {
		case c == quote:
			value, s.rest = s.rest[1:i], s.rest[i+1:]
			return value, plain
		case c == '\\':
			plain = false
			i++
		case c == '$' && quote == '"':
			plain = false
		}
	}
	s.rest = ""
	return "", false
}
