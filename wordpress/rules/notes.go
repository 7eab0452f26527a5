package rules

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"slices"
	"strings"

	"github.com/wpbake/wpbake/wordpress"
	"github.com/wpbake/wpbake/wordpress/php"
	"github.com/wpbake/wpbake/wordpress/scan"
)

// Previous is a check by this very program. What it noted of a file's content
// is taken from there as long as the file is unchanged; the findings are those
// of a check that reads all files.
type Previous struct {
	Notes     []byte                 // of its Report; what is no such notes is ignored
	Unchanged func(path string) bool // whether a file is as that check read it
}

// notes are what a check keeps of files' contents for the next one. The zero
// value knows no file.
type notes struct {
	unchanged func(path string) bool  // nil when there are no notes
	parser    string                  // the version; empty when nothing was parsed
	matches   map[string][]scan.Match // of the files that have any
	syntax    map[string][]php.SyntaxError
	dirs      []string // of plugins and themes
	heads     map[string]map[string]string
}

// noted is the form of notes: a sum, and this as JSON. Paths and messages are
// bytes, which JSON keeps as they are.
type noted struct {
	Parser  string       `json:"parser"`
	Matches []notedMatch `json:"marks"`
	Syntax  []notedError `json:"syntax"`
	Dirs    [][]byte     `json:"dirs"`
	Heads   []notedHead  `json:"heads"`
}

type notedMatch struct {
	Path      []byte         `json:"p"`
	Signature scan.Signature `json:"k"`
	Line      int            `json:"l"`
}

type notedError struct {
	Path    []byte `json:"p"`
	Line    int    `json:"l"`
	Message []byte `json:"m"`
}

type notedHead struct {
	Path   []byte            `json:"p"`
	Values map[string]string `json:"v"`
}

// takeNotes writes down what files showed, in the order of the tree.
func takeNotes(tree *scan.Tree, parser Parser, errs []php.SyntaxError, headers *wordpress.HeaderLog) []byte {
	var doc noted
	if parser != nil {
		doc.Parser = parser.Version()
	}
	for i := range tree.Files {
		f := &tree.Files[i]
		for _, m := range f.Matches {
			doc.Matches = append(doc.Matches, notedMatch{[]byte(f.Path), m.Signature, m.Line})
		}
	}
	errs = slices.Clone(errs) // what was noted before comes before what PHP says now
	slices.SortStableFunc(errs, func(a, b php.SyntaxError) int { return strings.Compare(a.Path, b.Path) })
	for _, e := range errs {
		doc.Syntax = append(doc.Syntax, notedError{[]byte(e.Path), e.Line, []byte(e.Message)})
	}
	for _, d := range headers.Dirs {
		doc.Dirs = append(doc.Dirs, []byte(d))
	}
	for _, h := range headers.Files {
		doc.Heads = append(doc.Heads, notedHead{[]byte(h.File), h.Values})
	}
	b, err := json.Marshal(doc)
	if err != nil {
		panic(err) // texts, numbers and bytes always encode
	}
	sum := sha256.Sum256(b)
	return append(sum[:], b...)
}

// readNotes reads what takeNotes wrote. Anything else knows no file.
func readNotes(p *Previous) notes {
	if p == nil || p.Unchanged == nil || len(p.Notes) < sha256.Size {
		return notes{}
	}
	body := p.Notes[sha256.Size:]
	if sum := sha256.Sum256(body); !bytes.Equal(sum[:], p.Notes[:sha256.Size]) {
		return notes{}
	}
	var doc noted
	if json.Unmarshal(body, &doc) != nil {
		return notes{}
	}
	n := notes{unchanged: p.Unchanged, parser: doc.Parser, matches: map[string][]scan.Match{}, syntax: map[string][]php.SyntaxError{}, heads: map[string]map[string]string{}}
	for _, m := range doc.Matches {
		if m.Signature >= scan.Signatures {
			return notes{}
		}
		n.matches[string(m.Path)] = append(n.matches[string(m.Path)], scan.Match{Signature: m.Signature, Line: m.Line})
	}
	for _, s := range doc.Syntax {
		name := string(s.Path)
		n.syntax[name] = append(n.syntax[name], php.SyntaxError{Path: name, Line: s.Line, Message: string(s.Message)})
	}
	for _, d := range doc.Dirs {
		n.dirs = append(n.dirs, string(d))
	}
	for _, h := range doc.Heads {
		n.heads[string(h.Path)] = h.Values
	}
	return n
}

// headersOf returns the headers of a plugin's or theme's file in or below one of
// the directories that hold them, none if it has none; not ok when it is to be
// read.
func (n *notes) headersOf(dir, name string) (values map[string]string, ok bool) {
	if n.unchanged == nil || !slices.Contains(n.dirs, dir) || !n.unchanged(name) {
		return nil, false
	}
	return n.heads[name], true
}

// matchesOf returns what a file showed; not ok when it is to be read.
func (n *notes) matchesOf(f *scan.File) (matches []scan.Match, ok bool) {
	if n.unchanged == nil || !f.Regular() || !n.unchanged(f.Path) {
		return nil, false
	}
	return n.matches[f.Path], true
}

// syntaxOf returns what a parser said of a file; not ok when it is to be asked.
func (n *notes) syntaxOf(f *scan.File, parser string) (errs []php.SyntaxError, ok bool) {
	if n.unchanged == nil || parser == "" || parser != n.parser || !n.unchanged(f.Path) {
		return nil, false
	}
	return n.syntax[f.Path], true
}
