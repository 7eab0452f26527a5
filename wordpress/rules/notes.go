package rules

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"slices"
	"strings"

	"github.com/wpbake/wpbake/wordpress/php"
)

// notes are what a check keeps of files' contents for the next one. The zero
// value knows no file.
type notes struct {
	unchanged func(path string) bool // nil when there are no notes
	parser    string                 // the version; empty when nothing was parsed
	marks     map[string][]mark      // of the files that have any
	syntax    map[string][]php.SyntaxError
	dirs      []string // of plugins and themes
	heads     map[string]map[string]string
}

// noted is the form of notes: a sum, and this as JSON. Paths and messages are
// bytes, which JSON keeps as they are.
type noted struct {
	Parser string       `json:"parser"`
	Marks  []notedMark  `json:"marks"`
	Syntax []notedError `json:"syntax"`
	Dirs   [][]byte     `json:"dirs"`
	Heads  []notedHead  `json:"heads"`
}

type notedMark struct {
	Path []byte   `json:"p"`
	Kind markKind `json:"k"`
	Line int      `json:"l"`
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

// notes takes down what files showed, in the order of the tree.
func (c *checker) notes() []byte {
	var doc noted
	if c.Parser != nil {
		doc.Parser = c.Parser.Version()
	}
	for i := range c.files {
		for _, m := range c.files[i].marks {
			doc.Marks = append(doc.Marks, notedMark{[]byte(c.files[i].path), m.kind, m.line})
		}
	}
	syntax := slices.Clone(c.syntax) // what was noted before comes before what PHP says now
	slices.SortStableFunc(syntax, func(a, b php.SyntaxError) int { return strings.Compare(a.Path, b.Path) })
	for _, e := range syntax {
		doc.Syntax = append(doc.Syntax, notedError{[]byte(e.Path), e.Line, []byte(e.Message)})
	}
	for _, d := range c.headers.Dirs {
		doc.Dirs = append(doc.Dirs, []byte(d))
	}
	for _, h := range c.headers.Files {
		doc.Heads = append(doc.Heads, notedHead{[]byte(h.File), h.Values})
	}
	b, err := json.Marshal(doc)
	if err != nil {
		panic(err) // texts, numbers and bytes always encode
	}
	sum := sha256.Sum256(b)
	return append(sum[:], b...)
}

// readNotes reads what notes took down. Anything else knows no file.
func readNotes(e *Previous) notes {
	if e == nil || e.Unchanged == nil || len(e.Notes) < sha256.Size {
		return notes{}
	}
	body := e.Notes[sha256.Size:]
	if sum := sha256.Sum256(body); !bytes.Equal(sum[:], e.Notes[:sha256.Size]) {
		return notes{}
	}
	var doc noted
	if json.Unmarshal(body, &doc) != nil {
		return notes{}
	}
	n := notes{unchanged: e.Unchanged, parser: doc.Parser, marks: map[string][]mark{}, syntax: map[string][]php.SyntaxError{}, heads: map[string]map[string]string{}}
	for _, m := range doc.Marks {
		if m.Kind >= markKinds {
			return notes{}
		}
		n.marks[string(m.Path)] = append(n.marks[string(m.Path)], mark{m.Kind, m.Line})
	}
	for _, s := range doc.Syntax {
		p := string(s.Path)
		n.syntax[p] = append(n.syntax[p], php.SyntaxError{Path: p, Line: s.Line, Message: string(s.Message)})
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

// marksOf returns what a file showed; not ok when it is to be read.
func (n *notes) marksOf(f *file) (marks []mark, ok bool) {
	if n.unchanged == nil || !f.regular() || !n.unchanged(f.path) {
		return nil, false
	}
	return n.marks[f.path], true
}

// syntaxOf returns what a parser said of a file; not ok when it is to be asked.
func (n *notes) syntaxOf(f *file, parser string) (said []php.SyntaxError, ok bool) {
	if n.unchanged == nil || parser == "" || parser != n.parser || !n.unchanged(f.path) {
		return nil, false
	}
	return n.syntax[f.path], true
}
