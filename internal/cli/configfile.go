package cli

import (
	"errors"
	"fmt"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"

	"github.com/wpbake/wpbake/internal/spelling"
)

// parseConfig reads a configuration file strictly: each key must be a setting,
// once, with a plain value or a list of plain values. Aliases and tags are
// refused, so a file cannot grow while it is read.
func parseConfig(cfg *Config, data []byte) error {
	file, err := parser.ParseBytes(data, 0)
	if err != nil {
		return syntaxError(cfg.file, err)
	}
	r := configReader{cfg: cfg, settings: map[string]setting{}, keys: []string{"waivers"}}
	for _, s := range settings() {
		r.settings[s.key] = s
		r.keys = append(r.keys, s.key)
	}
	for i, doc := range file.Docs {
		if i > 0 {
			return r.wrong(doc, "a second document", "keep one document in the file")
		}
		if doc.Body == nil {
			continue
		}
		if err := r.mapping("", doc.Body); err != nil {
			return err
		}
	}
	return nil
}

func syntaxError(name string, err error) error {
	var syntax *yaml.SyntaxError
	if !errors.As(err, &syntax) || syntax.Token == nil {
		return Misuse(fmt.Errorf("reading %q: %v", name, err), "")
	}
	return Misuse(
		fmt.Errorf("%s:%d: %s", name, syntax.Token.Position.Line, syntax.Message),
		"the file is YAML with lines such as \"group: shop\"")
}

type configReader struct {
	cfg      *Config
	settings map[string]setting
	keys     []string
}

func (r configReader) wrong(at ast.Node, what, hint string) error {
	return Misuse(fmt.Errorf("%s:%d: %s", r.cfg.file, at.GetToken().Position.Line, what), hint)
}

func (r configReader) mapping(prefix string, node ast.Node) error {
	var entries []*ast.MappingValueNode
	switch n := node.(type) {
	case *ast.MappingNode:
		entries = n.Values
	case *ast.MappingValueNode:
		entries = []*ast.MappingValueNode{n}
	case *ast.CommentGroupNode:
		return nil
	default:
		return r.wrong(node, "want lines of \"key: value\"", "the keys are "+strings.Join(r.keys, ", "))
	}
	for _, e := range entries {
		if err := r.entry(prefix, e); err != nil {
			return err
		}
	}
	return nil
}

func (r configReader) entry(prefix string, e *ast.MappingValueNode) error {
	key := prefix + e.Key.GetToken().Value
	if key == "waivers" {
		return r.waivers(e.Value)
	}
	if r.section(key) {
		return r.mapping(key+".", e.Value)
	}
	s, known := r.settings[key]
	if !known {
		hint := "the keys are " + strings.Join(r.keys, ", ")
		if near := spelling.Nearest(key, r.keys); near != "" {
			hint = fmt.Sprintf("did you mean %q?", near)
		}
		return r.wrong(e.Key, fmt.Sprintf("unknown key %q", key), hint)
	}
	values, err := r.values(s, e.Value)
	if err != nil {
		return err
	}
	if err := s.set(r.cfg, values); err != nil {
		return r.wrong(e.Key, fmt.Sprintf("%s %q: %v", key, strings.Join(values, ","), err), s.usage)
	}
	return nil
}

// section reports whether key holds other keys.
func (r configReader) section(key string) bool {
	for _, k := range r.keys {
		if strings.HasPrefix(k, key+".") {
			return true
		}
	}
	return false
}

func (r configReader) values(s setting, node ast.Node) ([]string, error) {
	seq, ok := node.(*ast.SequenceNode)
	if !ok {
		v, err := r.value(s, node)
		return []string{v}, err
	}
	if !s.list {
		return nil, r.wrong(node, s.key+" is one value, not a list", s.usage)
	}
	var values []string
	for _, item := range seq.Values {
		v, err := r.value(s, item)
		if err != nil {
			return nil, err
		}
		values = append(values, v)
	}
	return values, nil
}

func (r configReader) value(s setting, node ast.Node) (string, error) {
	switch n := node.(type) {
	case *ast.StringNode:
		return n.Value, nil
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode:
		return node.GetToken().Value, nil
	case *ast.NullNode:
		return "", r.wrong(node, s.key+" has no value", s.usage)
	default:
		return "", r.wrong(node, s.key+" is not a plain value", s.usage)
	}
}
