package cli

import (
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"

	"github.com/wpbake/wpbake/internal/spelling"
	"github.com/wpbake/wpbake/wordpress/rules"
)

const waiverForm = "each waiver is \"- id: T07\" with path and reason below"

// waivers reads the list of findings that may pass. Each needs all three
// words: a waiver that nobody can judge later is refused.
func (r configReader) waivers(node ast.Node) error {
	list, ok := node.(*ast.SequenceNode)
	if !ok {
		return r.wrong(node, "waivers is a list", waiverForm)
	}
	for _, item := range list.Values {
		w, err := r.waiver(item)
		if err != nil {
			return err
		}
		r.cfg.Waivers = append(r.cfg.Waivers, w)
	}
	return nil
}

func (r configReader) waiver(node ast.Node) (rules.Waiver, error) {
	var w rules.Waiver
	fields := map[string]*string{"id": &w.ID, "path": &w.Path, "reason": &w.Reason}
	var entries []*ast.MappingValueNode
	switch n := node.(type) {
	case *ast.MappingNode:
		entries = n.Values
	case *ast.MappingValueNode:
		entries = []*ast.MappingValueNode{n}
	default:
		return w, r.wrong(node, "a waiver is not a plain value", waiverForm)
	}
	for _, e := range entries {
		key := e.Key.GetToken().Value
		field, known := fields[key]
		if !known {
			return w, r.wrong(e.Key, fmt.Sprintf("unknown key %q of a waiver", key), waiverForm)
		}
		value, err := r.value(setting{key: "waivers." + key, usage: waiverForm}, e.Value)
		if err != nil {
			return w, err
		}
		*field = strings.TrimSpace(value)
	}
	return w, r.judgeWaiver(node, w)
}

func (r configReader) judgeWaiver(node ast.Node, w rules.Waiver) error {
	var ids []string
	for _, rule := range rules.Catalogue() {
		ids = append(ids, rule.ID)
	}
	switch {
	case w.ID == "" || w.Path == "" || w.Reason == "":
		return r.wrong(node, "a waiver needs id, path and reason", waiverForm)
	case !slices.Contains(ids, w.ID):
		hint := "docs/checks.md lists them"
		if near := spelling.Nearest(w.ID, ids); near != "" {
			hint = fmt.Sprintf("did you mean %q?", near)
		}
		return r.wrong(node, fmt.Sprintf("there is no rule %q", w.ID), hint)
	case !fs.ValidPath(w.Path):
		return r.wrong(node, fmt.Sprintf("path %q of a waiver: want a path below the tree, exactly as wpbake check shows it", w.Path), waiverForm)
	}
	return nil
}
