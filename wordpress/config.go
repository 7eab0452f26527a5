package wordpress

import (
	"errors"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// Limits of reading configuration: a real wp-config.php has a few KiB.
const (
	maxConfigSource = 16 << 20
	maxConstants    = 5000
	maxExpression   = 256 // tokens
	maxConfigDepth  = 3   // of files that require each other
	maxConfigFiles  = 32
	maxValue        = 4 << 10
)

// Config is what wp-config.php, and the files of the tree that it requires,
// say. Nothing of them is run.
type Config struct {
	Path       string // of wp-config.php, from the tree's root
	Files      []string
	Constants  []Constant // in the order of the source
	Variables  []Constant // assigned to, such as table_prefix
	Calls      []Call     // of functions that rules ask for
	ReadsProto bool       // it makes HTTPS of a header of the load balancer
	Outside    []Call     // of require, for files that are computed or not in the tree

	core     string         // the directory of WordPress, which wp-load.php makes ABSPATH
	first    map[string]int // of a name, in Constants
	settings bool           // wp-settings.php was required: what follows has no effect
	full     bool           // more constants than are kept
}

// Constant is a name that is given a value.
type Constant struct {
	Name   string
	Value  Value
	Source []string // names and strings that a computed value is made of
	Env    string   // the variable of the environment that a computed value is, if it is that
	Else   string   // what stands behind it for when the environment has none
	Path   string
	Line   int
	If     string // the condition that it depends on; empty is none
	Dead   bool   // it comes too late, or is the second of its name
}

// Call is a call of a function with what is known of its arguments.
type Call struct {
	Name string
	Args []Value
	Path string
	Line int
}

// Get returns the definition of a constant that takes effect. Its value is
// Unknown when it depends on a condition.
func (c *Config) Get(name string) (Constant, bool) {
	i, ok := c.first[name]
	if !ok {
		return Constant{}, false
	}
	k := c.Constants[i]
	if k.If != "" {
		k.Value = Value{}
	}
	return k, true
}

// Variable returns the last assignment to a variable.
func (c *Config) Variable(name string) (Constant, bool) {
	for _, v := range slices.Backward(c.Variables) {
		if v.Name == name {
			return v, true
		}
	}
	return Constant{}, false
}

// known is the value of a constant while the configuration runs. wp-load.php
// has defined ABSPATH before.
func (c *Config) known(name string) Value {
	if name == "ABSPATH" {
		v := treePath(c.core)
		v.Text += "/"
		return v
	}
	k, _ := c.Get(name)
	return k.Value
}

// readConfig reads the configuration that starts in a file, for a WordPress in
// the directory core.
func readConfig(fsys fs.FS, name, core string) (*Config, error) {
	c := &Config{Path: name, core: core, first: map[string]int{}}
	r := &configReader{fsys: fsys, config: c}
	if err := r.file(name, 0, ""); err != nil {
		return nil, err
	}
	for i := range c.Constants {
		k := &c.Constants[i]
		first, ok := c.first[k.Name]
		k.Dead = k.Dead || ok && first < i && c.Constants[first].If == ""
	}
	return c, nil
}

// configReader follows a configuration from file to file.
type configReader struct {
	fsys   fs.FS
	config *Config
}

// file reads one file, which is required on a condition.
func (r *configReader) file(name string, depth int, condition string) error {
	if depth > maxConfigDepth || len(r.config.Files) >= maxConfigFiles || slices.Contains(r.config.Files, name) || !isFile(r.fsys, name) {
		return nil
	}
	src, err := readFile(r.fsys, name, maxConfigSource)
	if errors.Is(err, fs.ErrPermission) {
		return nil
	}
	if err != nil {
		return err
	}
	r.config.Files = append(r.config.Files, name)
	p := &configParser{configReader: r, lex: newLexer(src), name: name, depth: depth}
	p.scope.expect(condition)
	p.scope.open(false)
	p.take()
	return p.run()
}

// configParser reads one file, statement by statement.
type configParser struct {
	*configReader
	lex   *lexer
	tok   token // the one that is looked at
	name  string
	depth int
	scope scope
	prev  token // the one before
}

func (p *configParser) take() token {
	t := p.tok
	p.prev = t
	p.tok = p.lex.next()
	return t
}

func (p *configParser) run() error {
	for p.tok.kind != tokEnd {
		if err := p.statement(); err != nil {
			return err
		}
	}
	return nil
}

// statement takes at least one token.
func (p *configParser) statement() error {
	t := p.tok
	switch {
	case t.kind == tokSign:
		p.scope.sign(p.take().text[0])
	case t.kind == tokVar:
		p.assignment()
	case t.kind == tokString || t.kind == tokMixed:
		p.noticeHeader(p.take().text)
	case t.kind != tokWord:
		p.take()
	case t.word("elseif"):
		p.scope.again = true
		p.condition()
	case t.word("if") || t.word("while") || t.word("foreach") || t.word("for") || t.word("switch"):
		p.condition()
	case t.word("else"):
		p.take()
		p.scope.again = true
		p.scope.expect("another case")
	case t.word("function") || t.word("class") || t.word("trait") || t.word("interface") || t.word("fn"):
		p.take()
		p.scope.expect("a call of its function")
	case t.word("endif") || t.word("endforeach") || t.word("endwhile") || t.word("endfor") || t.word("endswitch"):
		p.take()
		p.scope.endColon()
	case t.word("const"):
		p.take()
		p.constant()
	case t.word("require") || t.word("require_once") || t.word("include") || t.word("include_once"):
		p.take()
		return p.require()
	default:
		p.call()
	}
	return nil
}

// condition reads "if (...)" and what it means for what follows.
func (p *configParser) condition() {
	p.take()
	if !p.tok.sign('(') {
		return
	}
	tokens := p.parenthesis()
	p.noticeTokens(tokens)
	p.scope.expect(meaning(tokens))
}

// meaning says what a condition depends on. That a constant is not defined
// yet, or that a file of the tree is there, is none.
func meaning(tokens []token) string {
	harmless := len(tokens) > 0
	var words []string
	for i, t := range tokens {
		if t.kind != tokSign && t.text != "" {
			words = append(words, cut(t.text, 80))
		}
		negated := i > 0 && tokens[i-1].sign('!')
		switch {
		case t.word("defined"):
			harmless = harmless && negated
		case t.word("file_exists"), t.word("is_readable"), t.word("is_file"):
			harmless = harmless && !negated
		case t.word("dirname"), t.word("__DIR__"), t.word("__FILE__"), t.word("ABSPATH"), t.word("and"), t.word("or"), t.kind == tokString:
		case t.kind == tokSign && strings.Contains("!()&|,.", t.text):
		default:
			harmless = false
		}
	}
	if harmless {
		return ""
	}
	return clean(cut(strings.Join(words, " "), 80))
}

func cut(s string, n int) string {
	if len(s) > n {
		return s[:n]
	}
	return s
}

// assignment reads "$name = value;".
func (p *configParser) assignment() {
	v := p.take()
	if v.text == "_SERVER" || v.text == "GLOBALS" {
		p.serverAssignment()
		return
	}
	if !p.tok.sign('=') {
		return
	}
	p.take()
	if p.tok.sign('=') || p.tok.sign('>') {
		return
	}
	tokens := p.expression(";")
	p.noticeTokens(tokens)
	if len(p.config.Variables) < maxConstants {
		p.config.Variables = append(p.config.Variables, p.constantOf(v.text, v.line, tokens))
	}
}

// serverAssignment notices $_SERVER['HTTPS'] = 'on'.
func (p *configParser) serverAssignment() {
	if !p.tok.sign('[') {
		return
	}
	p.take()
	key := p.take()
	if key.kind != tokString || !p.tok.sign(']') {
		p.noticeHeader(key.text)
		return
	}
	p.take()
	if key.text == "HTTPS" && p.tok.sign('=') {
		p.scope.https = true
	}
	p.noticeHeader(key.text)
	p.config.ReadsProto = p.config.ReadsProto || p.scope.https && p.scope.proto
}

// noticeHeader notices a header by which load balancers say what they spoke.
func (p *configParser) noticeHeader(s string) {
	switch strings.ToUpper(s) {
	case "HTTP_X_FORWARDED_PROTO", "HTTP_CLOUDFRONT_FORWARDED_PROTO", "HTTP_X_FORWARDED_SSL":
		p.scope.proto = true
		p.config.ReadsProto = p.config.ReadsProto || p.scope.https
	}
}

func (p *configParser) noticeTokens(tokens []token) {
	for i, t := range tokens {
		if t.kind == tokString {
			p.noticeHeader(t.text)
		}
		if t.kind == tokWord && i+1 < len(tokens) && tokens[i+1].sign('(') {
			p.noticeCall(t, nil)
		}
	}
}

// constant reads "const NAME = value, NAME = value;".
func (p *configParser) constant() {
	for p.tok.kind == tokWord {
		name := p.take()
		if !p.tok.sign('=') {
			return
		}
		p.take()
		p.define(p.constantOf(name.text, name.line, p.expression(";,")))
		if !p.tok.sign(',') {
			return
		}
		p.take()
	}
}

// define keeps a constant. Those past the limit cannot be judged.
func (p *configParser) define(k Constant) {
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

func (p *configParser) constantOf(name string, line int, tokens []token) Constant {
	k := Constant{Name: name, Path: p.name, Line: line, If: p.scope.condition()}
	if len(tokens) < maxExpression {
		k.Value = p.value(tokens)
	}
	if k.Value.Kind == Unknown {
		k.Source = sources(tokens)
		k.Env, k.Else = environmentOf(tokens)
	}
	return k
}

// require follows a file of the tree, and knows wp-settings.php.
func (p *configParser) require() error {
	line := p.tok.line
	tokens := p.expression(";")
	switch path.Base(lastString(tokens)) {
	case "wp-settings.php":
		p.config.settings = p.config.settings || p.scope.condition() == ""
		return nil
	case "autoload.php": // of Composer: classes, no constants
		return nil
	}
	v := p.value(tokens)
	name, inside := v.inTree()
	if v.Kind == String && !v.Tree && !strings.HasPrefix(v.Text, "/") {
		name, inside = path.Join(path.Dir(p.name), v.Text), true
	}
	if !inside || !fs.ValidPath(name) {
		if len(p.config.Outside) < maxConstants {
			p.config.Outside = append(p.config.Outside, Call{Name: "require", Args: []Value{v}, Path: p.name, Line: line})
		}
		return nil
	}
	return p.configReader.file(name, p.depth+1, p.scope.condition())
}

func lastString(tokens []token) string {
	for _, t := range slices.Backward(tokens) {
		if t.kind == tokString {
			return t.text
		}
	}
	return ""
}

// call reads a call of a function that matters: define above all.
func (p *configParser) call() {
	method := p.prev.sign('>') // $x->define
	name := p.take()
	if p.tok.sign(':') { // Config::define, as Bedrock has it
		p.take()
		if !p.tok.sign(':') {
			p.scope.sign(':') // of an else
			return
		}
		p.take()
		method = !strings.HasSuffix(strings.ToLower(name.text), "config")
		name = p.take()
	}
	if method {
		return
	}
	if !p.tok.sign('(') {
		return
	}
	switch {
	case name.word("define"):
		p.defineCall(name)
	case watched(name):
		p.noticeCall(name, p.arguments())
	}
}

func (p *configParser) defineCall(name token) {
	args := p.argumentTokens()
	if len(args) < 2 {
		return
	}
	first := p.value(args[0])
	if first.Kind != String || first.Tree || first.Text == "" {
		return
	}
	p.noticeTokens(args[1])
	p.define(p.constantOf(first.Text, name.line, args[1]))
}

// watched are functions that rules ask for.
func watched(t token) bool {
	for _, w := range []string{"ini_set", "error_reporting", "session_start", "session_save_path"} {
		if t.word(w) {
			return true
		}
	}
	return false
}

func (p *configParser) noticeCall(name token, args []Value) {
	if watched(name) && len(p.config.Calls) < maxConstants {
		p.config.Calls = append(p.config.Calls, Call{
			Name: strings.ToLower(strings.TrimPrefix(name.text, `\`)), Args: args, Path: p.name, Line: name.line,
		})
	}
}

func (p *configParser) arguments() []Value {
	var values []Value
	for _, tokens := range p.argumentTokens() {
		values = append(values, p.value(tokens))
	}
	return values
}

// argumentTokens reads "(a, b)" and splits it at its commas.
func (p *configParser) argumentTokens() [][]token {
	var args [][]token
	p.take()
	for {
		args = append(args, p.expression(",)"))
		if len(args) > maxExpression || !p.tok.sign(',') {
			break
		}
		p.take()
	}
	if p.tok.sign(')') {
		p.take()
	}
	return args
}

// parenthesis reads "(...)" and returns what is inside.
func (p *configParser) parenthesis() []token {
	p.take()
	tokens := p.expression(")")
	if p.tok.sign(')') {
		p.take()
	}
	return tokens
}

// expression reads up to one of the signs in ends that is outside of all
// brackets, or to a ";" or the end. It keeps no more than maxExpression tokens.
func (p *configParser) expression(ends string) []token {
	var tokens []token
	for depth := 0; p.tok.kind != tokEnd; p.take() {
		if t := p.tok; t.kind == tokSign {
			c := t.text[0]
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
