package wpconfig

import (
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/wpbake/wpbake/wordpress/internal/printable"
	"github.com/wpbake/wpbake/wordpress/php"
)

// Limits of reading configuration: a real wp-config.php has a few KiB.
const (
	maxConfigSource = 16 << 20
	maxConstants    = 5000
	maxExpression   = 256 // tokens
	maxConfigDepth  = 3   // of files that require each other
	maxConfigFiles  = 32
)

// parser reads one file, statement by statement.
type parser struct {
	*reader
	lex   *php.Lexer
	tok   php.Token // the one that is looked at
	name  string
	depth int
	scope scope
	prev  php.Token // the one before
}

func (p *parser) take() php.Token {
	t := p.tok
	p.prev = t
	p.tok = p.lex.Next()
	return t
}

func (p *parser) run() error {
	for p.tok.Kind != php.TokenEnd {
		if err := p.statement(); err != nil {
			return err
		}
	}
	return nil
}

// statement takes at least one token.
func (p *parser) statement() error {
	t := p.tok
	switch {
	case t.Kind == php.TokenSign:
		p.scope.sign(p.take().Text[0])
	case t.Kind == php.TokenVariable:
		p.assignment()
	case t.Kind == php.TokenString || t.Kind == php.TokenTemplate:
		p.noticeHeader(p.take().Text)
	case t.Kind != php.TokenWord:
		p.take()
	case t.Word("elseif"):
		p.scope.again = true
		p.condition()
	case t.Word("if") || t.Word("while") || t.Word("foreach") || t.Word("for") || t.Word("switch"):
		p.condition()
	case t.Word("else"):
		p.take()
		p.scope.again = true
		p.scope.expect("another case")
	case t.Word("function") || t.Word("class") || t.Word("trait") || t.Word("interface") || t.Word("fn"):
		p.take()
		p.scope.expect("a call of its function")
	case t.Word("endif") || t.Word("endforeach") || t.Word("endwhile") || t.Word("endfor") || t.Word("endswitch"):
		p.take()
		p.scope.endColon()
	case t.Word("const"):
		p.take()
		p.constant()
	case t.Word("require") || t.Word("require_once") || t.Word("include") || t.Word("include_once"):
		p.take()
		return p.require()
	default:
		p.call()
	}
	return nil
}

// condition reads "if (...)" and what it means for what follows.
func (p *parser) condition() {
	p.take()
	if !p.tok.Sign('(') {
		return
	}
	tokens := p.parenthesis()
	p.noticeTokens(tokens)
	p.scope.expect(meaning(tokens))
}

// meaning says what a condition depends on. That a constant is not defined
// yet, or that a file of the tree is there, is none.
func meaning(tokens []php.Token) string {
	harmless := len(tokens) > 0
	var words []string
	for i, t := range tokens {
		if t.Kind != php.TokenSign && t.Text != "" {
			words = append(words, printable.Cut(t.Text, 80))
		}
		negated := i > 0 && tokens[i-1].Sign('!')
		switch {
		case t.Word("defined"):
			harmless = harmless && negated
		case t.Word("file_exists"), t.Word("is_readable"), t.Word("is_file"):
			harmless = harmless && !negated
		case t.Word("dirname"), t.Word("__DIR__"), t.Word("__FILE__"), t.Word("ABSPATH"), t.Word("and"), t.Word("or"), t.Kind == php.TokenString:
		case t.Kind == php.TokenSign && strings.Contains("!()&|,.", t.Text):
		default:
			harmless = false
		}
	}
	if harmless {
		return ""
	}
	return printable.Clean(printable.Cut(strings.Join(words, " "), 80))
}

// assignment reads "$name = value;".
func (p *parser) assignment() {
	v := p.take()
	if v.Text == "_SERVER" || v.Text == "GLOBALS" {
		p.serverAssignment()
		return
	}
	if !p.tok.Sign('=') {
		return
	}
	p.take()
	if p.tok.Sign('=') || p.tok.Sign('>') {
		return
	}
	tokens := p.expression(";")
	p.noticeTokens(tokens)
	if len(p.config.Variables) < maxConstants {
		p.config.Variables = append(p.config.Variables, p.constantOf(v.Text, v.Line, tokens))
	}
}

// serverAssignment notices $_SERVER['HTTPS'] = 'on'.
func (p *parser) serverAssignment() {
	if !p.tok.Sign('[') {
		return
	}
	p.take()
	key := p.take()
	if key.Kind != php.TokenString || !p.tok.Sign(']') {
		p.noticeHeader(key.Text)
		return
	}
	p.take()
	if key.Text == "HTTPS" && p.tok.Sign('=') {
		p.scope.https = true
	}
	p.noticeHeader(key.Text)
	p.config.ReadsProto = p.config.ReadsProto || p.scope.https && p.scope.proto
}

// noticeHeader notices a header by which load balancers say what they spoke.
func (p *parser) noticeHeader(s string) {
	switch strings.ToUpper(s) {
	case "HTTP_X_FORWARDED_PROTO", "HTTP_CLOUDFRONT_FORWARDED_PROTO", "HTTP_X_FORWARDED_SSL":
		p.scope.proto = true
		p.config.ReadsProto = p.config.ReadsProto || p.scope.https
	}
}

func (p *parser) noticeTokens(tokens []php.Token) {
	for i, t := range tokens {
		if t.Kind == php.TokenString {
			p.noticeHeader(t.Text)
		}
		if t.Kind == php.TokenWord && i+1 < len(tokens) && tokens[i+1].Sign('(') {
			p.noticeCall(t, nil)
		}
	}
}

// constant reads "const NAME = value, NAME = value;".
func (p *parser) constant() {
	for p.tok.Kind == php.TokenWord {
		name := p.take()
		if !p.tok.Sign('=') {
			return
		}
		p.take()
		p.define(p.constantOf(name.Text, name.Line, p.expression(";,")))
		if !p.tok.Sign(',') {
			return
		}
		p.take()
	}
}

// define keeps a constant. Those past the limit cannot be judged.
func (p *parser) define(k Constant) {
	if len(p.config.Constants) >= maxConstants {
		p.config.full = true
		return
	}
	k.Dead = p.config.settings
	if _, again := p.config.first[k.Name]; !again && !k.Dead {
		p.config.first[k.Name] = len(p.config.Constants)
	}
	p.config.Constants = append(p.config.Constants, k)
}

func (p *parser) constantOf(name string, line int, tokens []php.Token) Constant {
	k := Constant{Name: name, Path: p.name, Line: line, If: p.scope.condition()}
	if len(tokens) < maxExpression {
		k.Value = p.evaluate(tokens)
	}
	if k.Value.Kind == php.Unknown {
		k.Source = sources(tokens)
		k.Env, k.Else = environmentOf(tokens)
	}
	return k
}

// require follows a file of the tree, and knows wp-settings.php.
func (p *parser) require() error {
	line := p.tok.Line
	tokens := p.expression(";")
	switch path.Base(lastString(tokens)) {
	case "wp-settings.php":
		p.config.settings = p.config.settings || p.scope.condition() == ""
		return nil
	case "autoload.php": // of Composer: classes, no constants
		return nil
	}
	v := p.evaluate(tokens)
	name, inside := v.InTree()
	if v.Kind == php.String && !v.Tree && !strings.HasPrefix(v.Text, "/") {
		name, inside = path.Join(path.Dir(p.name), v.Text), true
	}
	if !inside || !fs.ValidPath(name) {
		if len(p.config.Outside) < maxConstants {
			p.config.Outside = append(p.config.Outside, Call{Name: "require", Args: []php.Value{v}, Path: p.name, Line: line})
		}
		return nil
	}
	return p.reader.file(name, p.depth+1, p.scope.condition())
}

func lastString(tokens []php.Token) string {
	for _, t := range slices.Backward(tokens) {
		if t.Kind == php.TokenString {
			return t.Text
		}
	}
	return ""
}

// call reads a call of a function that matters: define above all.
func (p *parser) call() {
	method := p.prev.Sign('>') // $x->define
	name := p.take()
	if p.tok.Sign(':') { // Config::define, as Bedrock has it
		p.take()
		if !p.tok.Sign(':') {
			p.scope.sign(':') // of an else
			return
		}
		p.take()
		method = !strings.HasSuffix(strings.ToLower(name.Text), "config")
		name = p.take()
	}
	if method {
		return
	}
	if !p.tok.Sign('(') {
		return
	}
	switch {
	case name.Word("define"):
		p.defineCall(name)
	case watched(name):
		p.noticeCall(name, p.arguments())
	}
}

func (p *parser) defineCall(name php.Token) {
	args := p.argumentTokens()
	if len(args) < 2 {
		return
	}
	first := p.evaluate(args[0])
	if first.Kind != php.String || first.Tree || first.Text == "" {
		return
	}
	p.noticeTokens(args[1])
	p.define(p.constantOf(first.Text, name.Line, args[1]))
}

// watched are functions that rules ask for.
func watched(t php.Token) bool {
	for _, w := range []string{"ini_set", "error_reporting", "session_start", "session_save_path"} {
		if t.Word(w) {
			return true
		}
	}
	return false
}

func (p *parser) noticeCall(name php.Token, args []php.Value) {
	if watched(name) && len(p.config.Calls) < maxConstants {
		p.config.Calls = append(p.config.Calls, Call{
			Name: strings.ToLower(strings.TrimPrefix(name.Text, `\`)), Args: args, Path: p.name, Line: name.Line,
		})
	}
}

func (p *parser) arguments() []php.Value {
	var values []php.Value
	for _, tokens := range p.argumentTokens() {
		values = append(values, p.evaluate(tokens))
	}
	return values
}

// argumentTokens reads "(a, b)" and splits it at its commas.
func (p *parser) argumentTokens() [][]php.Token {
	var args [][]php.Token
	p.take()
	for {
		args = append(args, p.expression(",)"))
		if len(args) > maxExpression || !p.tok.Sign(',') {
			break
		}
		p.take()
	}
	if p.tok.Sign(')') {
		p.take()
	}
	return args
}

// parenthesis reads "(...)" and returns what is inside.
func (p *parser) parenthesis() []php.Token {
	p.take()
	tokens := p.expression(")")
	if p.tok.Sign(')') {
		p.take()
	}
	return tokens
}

// expression reads up to one of the signs in ends that is outside of all
// brackets, or to a ";" or the end. It keeps no more than maxExpression tokens.
func (p *parser) expression(ends string) []php.Token {
	var tokens []php.Token
	for depth := 0; p.tok.Kind != php.TokenEnd; p.take() {
		if t := p.tok; t.Kind == php.TokenSign {
			c := t.Text[0]
			switch {
			case depth == 0 && (strings.IndexByte(ends, c) >= 0 || c == ';'):
				return tokens
			case c == '(' || c == '[' || c == '{':
				depth++
			case c == ')' || c == ']' || c == '}':
				if depth--; depth < 0 {
					return tokens
				}
			}
		}
		if len(tokens) < maxExpression {
			tokens = append(tokens, p.tok)
		}
	}
	return tokens
}

func (p *parser) evaluate(tokens []php.Token) php.Value {
	return php.Names{File: p.name, Constant: p.config.known}.Evaluate(tokens)
}
