package wordpress

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

// literal reports whether a value is a text that is in the tree.
func (v Value) literal() bool { return v.Kind == String && !v.Tree && v.Text != "" }

// inTree returns the path of a value that is a path of the tree, and whether
// it stays inside.
func (v Value) inTree() (string, bool) {
	if !v.Tree {
		return "", false
	}
	p := path.Clean(strings.TrimLeft(v.Text, "/"))
	return p, p != ".." && !strings.HasPrefix(p, "../")
}

// value evaluates an expression of literals, concatenations, __DIR__,
// __FILE__, dirname(), ABSPATH and constants that are known. All else is
// Unknown.
func (p *configParser) value(tokens []token) Value {
	e := &evaluator{parser: p, tokens: tokens}
	v := e.sum(0)
	if e.pos != len(tokens) {
		return Value{}
	}
	return v
}

// evaluator walks over an expression once.
type evaluator struct {
	parser *configParser
	tokens []token
	pos    int
}

const maxNesting = 32

func (e *evaluator) peek() token {
	if e.pos < len(e.tokens) {
		return e.tokens[e.pos]
	}
	return token{}
}

func (e *evaluator) accept(c byte) bool {
	if e.peek().sign(c) {
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
	case t.kind == tokString:
		return Value{Kind: String, Text: t.text}
	case t.kind == tokNumber:
		return number(t.text)
	case t.sign('('):
		v := e.sum(depth + 1)
		if !e.accept(')') {
			return Value{}
		}
		return v
	case t.sign('-') && e.peek().kind == tokNumber:
		v := e.term(depth + 1)
		v.Text = "-" + v.Text
		return v
	case t.sign('!') && depth < maxNesting:
		return negated(e.term(depth + 1))
	case t.kind == tokWord:
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
func (e *evaluator) name(t token, depth int) Value {
	here := e.parser.name
	switch {
	case t.word("true"):
		return Value{Kind: Bool, Text: "1"}
	case t.word("false"):
		return Value{Kind: Bool}
	case t.word("null"):
		return Value{Kind: Null}
	case t.word("__DIR__"):
		return treePath(path.Dir(here))
	case t.word("__FILE__"):
		return treePath(here)
	case t.word("DIRECTORY_SEPARATOR"):
		return Value{Kind: String, Text: "/"}
	case t.word("dirname"):
		return e.dirname(depth)
	}
	return e.parser.config.known(strings.TrimPrefix(t.text, `\`))
}

func treePath(p string) Value {
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
	return treePath(p)
}

// sources lists the names and strings that a computed value is made of.
func sources(tokens []token) []string {
	var names []string
	for _, t := range tokens {
		if t.kind != tokSign && t.text != "" {
			names = append(names, cut(t.text, 200))
		}
	}
	return names
}

// environmentOf reads getenv( 'X' ), env( 'X' ), getenv_docker( 'X', 'y' ),
// $_ENV['X'] and $_SERVER['X'], each with ?: 'y' or ?? 'y' behind it or not.
func environmentOf(tokens []token) (variable, fallback string) {
	if len(tokens) < 4 || tokens[2].kind != tokString {
		return "", ""
	}
	variable = tokens[2].text
	rest := tokens[3:]
	switch word, opening := tokens[0], tokens[1]; {
	case opening.sign('(') && (word.word("getenv") || word.word("env") || word.word("getenv_docker")):
		if len(rest) > 2 && rest[0].sign(',') {
			if rest[1].kind == tokString {
				fallback = rest[1].text
			}
			rest = rest[2:]
		}
		if !rest[0].sign(')') {
			return "", ""
		}
	case opening.sign('[') && word.kind == tokVar && oneOf(word.text, "_ENV", "_SERVER"):
		if !rest[0].sign(']') {
			return "", ""
		}
	default:
		return "", ""
	}
	switch rest = rest[1:]; {
	case len(rest) == 0:
		return variable, fallback
	case len(rest) >= 3 && rest[0].sign('?') && (rest[1].sign(':') || rest[1].sign('?')):
		if len(rest) == 3 && rest[2].kind == tokString {
			fallback = rest[2].text
		}
		return variable, fallback
	}
	return "", ""
}
