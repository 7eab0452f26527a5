package php

import (
	"path"
	"strconv"
	"strings"
)

// ValueKind says what a value is. Unknown is a value of its own: it is computed
// when the code runs, and nobody knows it before.
type ValueKind byte

// Kinds of values.
const (
	Unknown ValueKind = iota
	String
	Bool
	Number
	Null
)

// Value is what a literal, or a simple expression of literals, comes to.
type Value struct {
	Kind ValueKind
	Text string // of a string or number; "1" is true, "" is false
	Tree bool   // a path whose Text is relative to the tree's root
}

// Truthy reports whether PHP takes a known value for true. The string
// 'false' is true.
func (v Value) Truthy() bool { return v.Kind != Unknown && (v.Tree || v.Text != "" && v.Text != "0") }

// Falsy reports whether PHP takes a known value for false.
func (v Value) Falsy() bool { return v.Kind != Unknown && !v.Truthy() }

// Literal reports whether a value is a text that is in the tree.
func (v Value) Literal() bool { return v.Kind == String && !v.Tree && v.Text != "" }

// InTree returns the path of a value that is a path of the tree, and whether
// it stays inside.
func (v Value) InTree() (string, bool) {
	if !v.Tree {
		return "", false
	}
	p := path.Clean(strings.TrimLeft(v.Text, "/"))
	return p, p != ".." && !strings.HasPrefix(p, "../")
}

// Names is what an expression may refer to: the file that it stands in, from
// the tree's root, and the values of constants, Unknown for those that are not
// known.
type Names struct {
	File     string
	Constant func(name string) Value
}

// Evaluate evaluates an expression of literals, concatenations, __DIR__,
// __FILE__, dirname() and constants that are known. All else is Unknown.
func (n Names) Evaluate(tokens []Token) Value {
	e := &evaluator{names: n, tokens: tokens}
	v := e.sum(0)
	if e.pos != len(tokens) {
		return Value{}
	}
	return v
}

// evaluator walks over an expression once.
type evaluator struct {
	names  Names
	tokens []Token
	pos    int
}

// Limits of an expression.
const (
	maxNesting = 32
	maxValue   = 4 << 10 // bytes of a text
)

func (e *evaluator) peek() Token {
	if e.pos < len(e.tokens) {
		return e.tokens[e.pos]
	}
	return Token{}
}

func (e *evaluator) accept(c byte) bool {
	if e.peek().Sign(c) {
		e.pos++
		return true
	}
	return false
}

// sum evaluates "a . b . c".
func (e *evaluator) sum(depth int) Value {
	if depth > maxNesting {
		return Value{}
	}
	v := e.term(depth)
	for e.accept('.') {
		v = joined(v, e.term(depth))
	}
	return v
}

func joined(a, b Value) Value {
	switch {
	case a.Kind == Unknown || b.Kind == Unknown || b.Tree || len(a.Text)+len(b.Text) > maxValue:
		return Value{}
	default:
		return Value{Kind: String, Text: a.Text + b.Text, Tree: a.Tree}
	}
}

func (e *evaluator) term(depth int) Value {
	t := e.peek()
	e.pos++
	switch {
	case t.Kind == TokenString:
		return Value{Kind: String, Text: t.Text}
	case t.Kind == TokenNumber:
		return number(t.Text)
	case t.Sign('('):
		v := e.sum(depth + 1)
		if !e.accept(')') {
			return Value{}
		}
		return v
	case t.Sign('-') && e.peek().Kind == TokenNumber:
		v := e.term(depth + 1)
		v.Text = "-" + v.Text
		return v
	case t.Sign('!') && depth < maxNesting:
		return negated(e.term(depth + 1))
	case t.Kind == TokenWord:
		return e.name(t, depth)
	}
	return Value{}
}

func number(text string) Value {
	n, err := strconv.ParseInt(strings.ReplaceAll(text, "_", ""), 0, 64)
	if err != nil {
		return Value{}
	}
	return Value{Kind: Number, Text: strconv.FormatInt(n, 10)}
}

func negated(v Value) Value {
	switch {
	case v.Kind == Unknown:
		return v
	case v.Truthy():
		return Value{Kind: Bool}
	default:
		return Value{Kind: Bool, Text: "1"}
	}
}

// name evaluates a constant, magic or not, or dirname().
func (e *evaluator) name(t Token, depth int) Value {
	here := e.names.File
	switch {
	case t.Word("true"):
		return Value{Kind: Bool, Text: "1"}
	case t.Word("false"):
		return Value{Kind: Bool}
	case t.Word("null"):
		return Value{Kind: Null}
	case t.Word("__DIR__"):
		return TreePath(path.Dir(here))
	case t.Word("__FILE__"):
		return TreePath(here)
	case t.Word("DIRECTORY_SEPARATOR"):
		return Value{Kind: String, Text: "/"}
	case t.Word("dirname"):
		return e.dirname(depth)
	}
	return e.names.Constant(strings.TrimPrefix(t.Text, `\`))
}

func TreePath(p string) Value {
	if p == "." {
		p = ""
	}
	return Value{Kind: String, Text: "/" + p, Tree: true}.trimmed()
}

// trimmed drops the slash at the end, as __DIR__ has none.
func (v Value) trimmed() Value {
	v.Text = strings.TrimRight(v.Text, "/")
	return v
}

// dirname evaluates dirname(path) and dirname(path, levels).
func (e *evaluator) dirname(depth int) Value {
	if !e.accept('(') {
		return Value{}
	}
	v, levels := e.sum(depth+1), 1
	if e.accept(',') {
		n, err := strconv.Atoi(e.term(depth + 1).Text)
		if err != nil || n < 1 || n > maxNesting {
			return Value{}
		}
		levels = n
	}
	if !e.accept(')') || v.Kind != String {
		return Value{}
	}
	for range levels {
		v = v.dir()
	}
	return v
}

// dir is PHP's dirname. Above the tree's root it climbs.
func (v Value) dir() Value {
	if !v.Tree {
		v.Text = path.Dir(v.Text)
		return v
	}
	p := path.Clean(strings.TrimLeft(v.Text, "/"))
	switch {
	case p == "." || p == ".." || strings.HasSuffix(p, "/.."):
		p = path.Join(p, "..")
	default:
		p = path.Dir(p)
	}
	return TreePath(p)
}
