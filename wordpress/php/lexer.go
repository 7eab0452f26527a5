package php

import (
	"bytes"
	"strings"
)

// TokenKind tells PHP's tokens apart, as far as reading configuration needs it.
type TokenKind byte

const (
	TokenEnd      TokenKind = iota
	TokenHTML               // text outside of <?php ... ?>
	TokenWord               // a name or keyword, with its namespace
	TokenVariable           // $name; text is the name
	TokenString             // a string without variables; text is its value
	TokenTemplate           // a string with variables in it, or a backquoted command
	TokenNumber
	TokenSign // one byte of punctuation
)

// Token is a piece of PHP source.
type Token struct {
	Kind TokenKind
	Text string
	Line int
}

func (t Token) Sign(c byte) bool { return t.Kind == TokenSign && t.Text[0] == c }

func (t Token) Word(w string) bool {
	return t.Kind == TokenWord && strings.EqualFold(strings.TrimPrefix(t.Text, `\`), w)
}

// Lexer splits PHP source into tokens, one at a time, each byte once. It
// follows PHP where configuration files can tell: comments, quotes, heredocs,
// the end of PHP. It takes any bytes.
type Lexer struct {
	src    []byte
	pos    int
	line   int
	inside bool // of <?php
}

func NewLexer(src []byte) *Lexer { return &Lexer{src: src, line: 1} }

// Next returns the next token; TokenEnd after the last one, for ever.
func (l *Lexer) Next() Token {
	for l.pos < len(l.src) {
		if !l.inside {
			if t, ok := l.html(); ok {
				return t
			}
			continue
		}
		switch c := l.src[l.pos]; {
		case c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == '\v' || c == '\f':
			l.advance(1)
		case l.at("?>"):
			l.leave()
			return Token{Kind: TokenSign, Text: ";", Line: l.line}
		case l.comment():
		default:
			return l.code(c)
		}
	}
	return Token{Kind: TokenEnd, Line: l.line}
}

func (l *Lexer) at(s string) bool { return bytes.HasPrefix(l.src[l.pos:], []byte(s)) }

// advance moves n bytes on and counts their lines.
func (l *Lexer) advance(n int) []byte {
	n = min(n, len(l.src)-l.pos)
	b := l.src[l.pos : l.pos+n]
	l.line += bytes.Count(b, []byte{'\n'})
	l.pos += n
	return b
}

// to moves behind the next s, or to the end.
func (l *Lexer) to(s string) []byte {
	if i := bytes.Index(l.src[l.pos:], []byte(s)); i >= 0 {
		return l.advance(i + len(s))
	}
	return l.advance(len(l.src))
}

// html moves behind the next open tag and returns what stands before it.
func (l *Lexer) html() (Token, bool) {
	start, line := l.pos, l.line
	for {
		i := bytes.Index(l.src[l.pos:], []byte("<?"))
		if i < 0 {
			l.advance(len(l.src))
			break
		}
		l.advance(i)
		if n := l.openTag(); n > 0 {
			end := l.pos
			l.advance(n)
			l.inside = true
			return Token{Kind: TokenHTML, Text: string(l.src[start:end]), Line: line}, end > start
		}
		l.advance(2)
	}
	return Token{Kind: TokenHTML, Text: string(l.src[start:]), Line: line}, l.pos > start
}

// openTag returns the length of the open tag here, or 0: <?xml is none.
func (l *Lexer) openTag() int {
	rest := l.src[l.pos:]
	switch {
	case len(rest) >= 3 && rest[2] == '=':
		return 3
	case len(rest) >= 5 && strings.EqualFold(string(rest[2:5]), "php") && (len(rest) == 5 || rest[5] <= ' '):
		return 5
	}
	return 0
}

// leave ends PHP; a line break right behind ?> belongs to it.
func (l *Lexer) leave() {
	l.advance(2)
	if l.at("\r\n") {
		l.advance(2)
	} else if l.at("\n") {
		l.advance(1)
	}
	l.inside = false
}

// comment moves behind a comment that starts here. One of a line ends at ?>.
func (l *Lexer) comment() bool {
	switch {
	case l.at("/*"):
		l.advance(2)
		l.to("*/")
	case l.at("//"), l.at("#") && !l.at("#["):
		end := bytes.IndexAny(l.src[l.pos:], "\r\n")
		if end < 0 {
			end = len(l.src) - l.pos
		}
		if i := bytes.Index(l.src[l.pos:l.pos+end], []byte("?>")); i >= 0 {
			end = i
		}
		l.advance(end)
	default:
		return false
	}
	return true
}

func (l *Lexer) code(c byte) Token {
	line := l.line
	switch {
	case c == '\'':
		return l.single()
	case c == '"':
		return l.double()
	case c == '`':
		l.advance(1)
		l.skipQuoted('`')
		return Token{Kind: TokenTemplate, Line: line}
	case l.at("<<<"):
		if t, ok := l.heredoc(); ok {
			return t
		}
	case c == '$' && l.pos+1 < len(l.src) && wordStart(l.src[l.pos+1]):
		l.advance(1)
		return Token{Kind: TokenVariable, Text: l.name(false), Line: line}
	case wordStart(c) || c == '\\' && l.pos+1 < len(l.src) && wordStart(l.src[l.pos+1]):
		return Token{Kind: TokenWord, Text: l.name(true), Line: line}
	case c >= '0' && c <= '9':
		return Token{Kind: TokenNumber, Text: l.while(numeric), Line: line}
	}
	return Token{Kind: TokenSign, Text: string(l.advance(1)), Line: line}
}

func wordStart(c byte) bool {
	return c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= 0x80
}

// WordByte reports whether a byte can be part of a name.
func WordByte(c byte) bool { return wordStart(c) || c >= '0' && c <= '9' }

func numeric(c byte) bool { return WordByte(c) || c == '.' }

func (l *Lexer) name(spaced bool) string {
	return l.while(func(c byte) bool { return WordByte(c) || spaced && c == '\\' })
}

func (l *Lexer) while(in func(byte) bool) string {
	n := 0
	for l.pos+n < len(l.src) && in(l.src[l.pos+n]) {
		n++
	}
	return string(l.advance(n))
}

// skipQuoted moves behind the closing quote and returns what is before it.
func (l *Lexer) skipQuoted(quote byte) []byte {
	for i := l.pos; i < len(l.src); i++ {
		switch l.src[i] {
		case '\\':
			i++
		case quote:
			body := l.advance(i - l.pos)
			l.advance(1)
			return body
		}
	}
	return l.advance(len(l.src))
}

func (l *Lexer) single() Token {
	line := l.line
	l.advance(1)
	body := string(l.skipQuoted('\''))
	if strings.Contains(body, `\`) {
		body = strings.NewReplacer(`\\`, `\`, `\'`, `'`).Replace(body)
	}
	return Token{Kind: TokenString, Text: body, Line: line}
}

func (l *Lexer) double() Token {
	line := l.line
	l.advance(1)
	return expanded(l.skipQuoted('"'), line)
}

// expanded is a string in which PHP expands variables and escapes.
func expanded(body []byte, line int) Token {
	if hasVariable(body) {
		return Token{Kind: TokenTemplate, Text: string(body), Line: line}
	}
	text := string(body)
	if strings.Contains(text, `\`) {
		text = strings.NewReplacer(`\\`, `\`, `\"`, `"`, `\$`, `$`, `\n`, "\n", `\t`, "\t", `\r`, "\r").Replace(text)
	}
	return Token{Kind: TokenString, Text: text, Line: line}
}

// hasVariable reports "$name" or "{$" or "${" that no backslash precedes.
func hasVariable(b []byte) bool {
	for i := 0; i < len(b); i++ {
		if b[i] == '\\' {
			i++
			continue
		}
		if b[i] == '$' && i+1 < len(b) && (wordStart(b[i+1]) || b[i+1] == '{') {
			return true
		}
	}
	return false
}

// The name of a heredoc is on its first line, within so many bytes.
const maxLabel = 256

// heredoc reads <<<NAME or <<<'NAME' up to a line that begins with NAME, as
// PHP since 7.3 does: the closing line may be indented.
func (l *Lexer) heredoc() (Token, bool) {
	rest, line := l.src[l.pos+3:], l.line
	head, _, found := bytes.Cut(rest[:min(len(rest), maxLabel)], []byte{'\n'})
	if !found {
		return Token{}, false
	}
	body := rest[len(head)+1:]
	label := strings.Trim(string(head), " \t\r")
	raw := strings.HasPrefix(label, "'")
	label = strings.Trim(label, `'"`)
	if label == "" || !wordStart(label[0]) || strings.ContainsFunc(label, func(r rune) bool { return r < 0x80 && !WordByte(byte(r)) }) {
		return Token{}, false
	}
	end, after := closing(body, label)
	text := body[:end]
	l.advance(3 + len(head) + 1 + after)
	if raw {
		return Token{Kind: TokenString, Text: string(text), Line: line}, true
	}
	return expanded(text, line), true
}

// closing finds the line that ends a heredoc: where its body ends, and where
// code goes on.
func closing(body []byte, label string) (end, after int) {
	for pos := 0; pos < len(body); {
		next := bytes.IndexByte(body[pos:], '\n')
		if next < 0 {
			next = len(body) - pos
		} else {
			next++
		}
		row := body[pos : pos+next]
		trimmed := bytes.TrimLeft(row, " \t")
		if bytes.HasPrefix(trimmed, []byte(label)) && (len(trimmed) == len(label) || !WordByte(trimmed[len(label)])) {
			return max(pos-1, 0), pos + len(row) - len(trimmed) + len(label)
		}
		pos += next
	}
	return len(body), len(body)
}
