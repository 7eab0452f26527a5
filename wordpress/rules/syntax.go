package rules

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/wpbake/wpbake/wordpress"
	"github.com/wpbake/wpbake/wordpress/internal/printable"
	"github.com/wpbake/wpbake/wordpress/php"
	"github.com/wpbake/wpbake/wordpress/scan"
)

func syntaxRules() []Rule {
	return []Rule{
		{
			ID: "T15", Title: "PHP that does not parse", Severities: blocksOrWarns(), Phase: InTree,
			Why:  "One such plugin is error 500 on every page, while the web server's health check stays green.",
			Fix:  "Mend the file at this line.",
			find: all(broken, onSite(empty)),
		},
		{
			ID: "T16", Title: "Output before <?php or after ?>", Severities: []Severity{Fix, Warn}, Phase: InTree,
			Why:  "\"Headers already sent\": no cookies, no redirects.",
			Fix:  "Remove what stands there. A byte order mark is left out of the artifact.",
			find: onSite(output),
		},
	}
}

// Parser reads PHP as PHP does, and runs none of it.
type Parser interface {
	// Parse returns what cannot be parsed of the named files below the
	// tree that it was made for.
	Parse(ctx context.Context, files []string) ([]php.SyntaxError, error)
	// Version tells parsers apart that may disagree.
	Version() string
}

// Parsed says how many files PHP has parsed, in this check or the one before.
type Parsed struct {
	Files int
}

// parseTree has files parsed, but for those of which it was noted what the
// same parser said. Without a parser nothing is.
func parseTree(ctx context.Context, tree *scan.Tree, parser Parser, previous notes) (errs []php.SyntaxError, parsed Parsed, err error) {
	if parser == nil {
		return nil, Parsed{}, nil
	}
	var names []string
	for i := range tree.Files {
		f := &tree.Files[i]
		if !f.IsPHP() || f.Info.Size() == 0 {
			continue
		}
		parsed.Files++
		if known, ok := previous.syntaxOf(f, parser.Version()); ok {
			errs = append(errs, known...)
		} else {
			names = append(names, f.Path)
		}
	}
	if len(names) == 0 {
		return errs, parsed, nil
	}
	now, err := parser.Parse(ctx, names)
	return append(errs, now...), parsed, err
}

// broken is T15: by what PHP itself says where it is at hand, else by what
// broken files have in common.
func broken(v *view) hits {
	if v.Parser != nil {
		return unparsable(v.syntax)
	}
	return brokenByLook(v.tree, v.site)
}

func unparsable(errs []php.SyntaxError) (h hits) {
	for _, e := range errs {
		severity := Block
		if inVendor(e.Path) {
			severity = Warn
		}
		h.add(severity, place{e.Path, e.Line}, "%s", printable.Clean(e.Message))
	}
	return h
}

// brokenByLook finds files that PHP cannot have parsed as they are.
func brokenByLook(tree *scan.Tree, site *wordpress.Site) (h hits) {
	for i := range tree.Files {
		f := &tree.Files[i]
		for _, m := range f.Matches {
			switch m.Signature {
			case scan.MergeConflict:
				h.block(atMatch(f, m), "holds the marks of a merge that was not resolved")
			case scan.ZeroByte:
				if site != nil && !inVendor(f.Path) && slices.Contains(site.LoadedEarly(), f.Path) {
					h.block(atMatch(f, m), "holds a zero byte")
				}
			}
		}
	}
	return h
}

// empty is T15 for files of which nothing is left.
func empty(tree *scan.Tree, site *wordpress.Site) (h hits) {
	early := site.LoadedEarly()
	for i := range tree.Files {
		if f := &tree.Files[i]; f.IsPHP() && f.Info.Size() == 0 && (site.Owns(f.Path) || slices.Contains(early, f.Path)) && f.Base() != "index.php" {
			h.block(at(f.Path), "is empty")
		}
	}
	return h
}

var utf8BOM = []byte("\xef\xbb\xbf")

// output is T16: what is printed before WordPress could set a header.
func output(tree *scan.Tree, site *wordpress.Site) (h hits) {
	for _, p := range site.LoadedEarly() {
		src, err := tree.ReadFile(p, scan.MaxPHP)
		if err != nil {
			continue
		}
		if bytes.HasPrefix(src, utf8BOM) {
			src = src[len(utf8BOM):]
			h.replace(place{p, 1}, src, "begins with a byte order mark; the artifact holds it without")
		}
		if line, what := printed(src); what != "" {
			h.warn(place{p, line}, "%s", what)
		}
	}
	return h
}

// printed finds text before the first open tag and behind the last close tag.
func printed(src []byte) (line int, what string) {
	l := php.NewLexer(src)
	first := l.Next()
	if first.Kind == php.TokenHTML {
		if text := first.Text; bytes.HasPrefix(src, []byte("#!")) {
			_, text, _ = strings.Cut(text, "\n")
			if text == "" {
				return printedBehind(l)
			}
		}
		return first.Line, fmt.Sprintf("prints %d byte(s) before <?php", len(first.Text))
	}
	return printedBehind(l)
}

func printedBehind(l *php.Lexer) (line int, what string) {
	last := php.Token{}
	for t := l.Next(); t.Kind != php.TokenEnd; t = l.Next() {
		last = t
	}
	if last.Kind == php.TokenHTML && strings.TrimSpace(last.Text) != "" {
		return last.Line, "prints text behind the last ?>"
	}
	return 0, ""
}
