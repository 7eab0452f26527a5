package rules

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"path"
	"regexp"
	"runtime"
	"strings"
	"sync"

	"github.com/wpbake/wpbake/wordpress/internal/printable"
	"github.com/wpbake/wpbake/wordpress/internal/safefs"
	"github.com/wpbake/wpbake/wordpress/php"
)

// judgeMedia is T11. It looks into uploads although no artifact holds them:
// what is there shows whether the code beside it can be trusted.
func judgeMedia(c *checker) {
	for _, l := range c.left {
		if l.rule.id == "W01" || l.rule.id == "W08" {
			c.judgeUploads(l.path)
		}
	}
}

// suspect is a file below uploads that has to be read.
type suspect struct {
	path    string
	verdict string
}

func (c *checker) judgeUploads(dir string) {
	var list []suspect
	fs.WalkDir(c.tree, dir, func(p string, d fs.DirEntry, err error) error {
		switch {
		case errors.Is(err, fs.ErrPermission), errors.Is(err, fs.ErrNotExist):
			return nil
		case err != nil || d.IsDir():
			return err
		case d.Type().IsRegular() && toRead(d.Name()):
			list = append(list, suspect{path: p})
		case executable(d.Name()):
			c.block("T11", at(p), "is a program among media")
		}
		return nil
	})
	readAll(list, func(s *suspect) { s.verdict = c.suspicion(s.path) })
	for _, s := range list {
		if s.verdict != "" {
			c.block("T11", at(s.path), "%s", s.verdict)
		}
	}
}

// readAll calls read for each suspect, several at a time.
func readAll(list []suspect, read func(*suspect)) {
	var group sync.WaitGroup
	workers := runtime.GOMAXPROCS(0)
	for w := range workers {
		group.Go(func() {
			for i := w; i < len(list); i += workers {
				read(&list[i])
			}
		})
	}
	group.Wait()
}

func executable(name string) bool {
	switch strings.ToLower(path.Ext(name)) {
	case ".php", ".php3", ".php4", ".php5", ".php7", ".php8", ".phtml", ".phar", ".phps", ".shtml":
		return true
	}
	return false
}

// toRead names files whose content decides.
func toRead(name string) bool {
	switch lower := strings.ToLower(name); {
	case lower == ".htaccess", lower == ".user.ini", lower == "index.php":
		return true
	default:
		return oneOf(path.Ext(lower), ".ico", ".jpg", ".jpeg", ".png", ".gif", ".webp")
	}
}

var handlers = regexp.MustCompile(`(?im)^\s*(<Files[^\n]*\n\s*)?(SetHandler|AddHandler|AddType)\b.*php|^\s*(php_value\s+)?auto_prepend_file`)

// suspicion says what is wrong with a file below uploads, or nothing.
func (c *checker) suspicion(p string) string {
	src, err := safefs.ReadFile(c.tree, p, lookMedia)
	if err != nil {
		return ""
	}
	switch name := strings.ToLower(path.Base(p)); {
	case name == "index.php":
		if !onlyComments(src) {
			return "is a program among media"
		}
	case name == ".htaccess" || name == ".user.ini":
		if handlers.Match(src) {
			return "makes the web server run media as programs"
		}
	case bytes.Contains(src, []byte("<?php")):
		return "is an image by its name, and PHP by its content"
	}
	return ""
}

// onlyComments reports whether PHP source has no code in it.
func onlyComments(src []byte) bool {
	t := php.NewLexer(src).Next()
	return t.Kind == php.TokenEnd || t.Kind == php.TokenHTML && strings.TrimSpace(t.Text) == ""
}

// Parser reads PHP as PHP does, and runs none of it.
type Parser interface {
	// Parse returns what cannot be parsed of the named files below the
	// tree that it was made for.
	Parse(ctx context.Context, files []string) ([]php.SyntaxError, error)
	// Version tells parsers apart that may disagree.
	Version() string
}

// Parsed says how many files PHP has parsed, in this check or the earlier one.
type Parsed struct {
	Files int
}

// parse is T15: by PHP itself where it is at hand, else by what broken files
// have in common.
func (c *checker) parse(ctx context.Context) error {
	if c.Parser == nil {
		c.judgeBroken()
		return nil
	}
	if err := c.parseFiles(ctx); err != nil {
		return err
	}
	for _, e := range c.syntax {
		if c.inVendor(e.Path) {
			c.warn("T15", place{e.Path, e.Line}, "%s", printable.Clean(e.Message))
			continue
		}
		c.block("T15", place{e.Path, e.Line}, "%s", printable.Clean(e.Message))
	}
	c.judgeEmpty()
	return nil
}

// parseFiles has files parsed, but for those of which it was noted what the
// same parser said.
func (c *checker) parseFiles(ctx context.Context) error {
	var names []string
	for i := range c.files {
		f := &c.files[i]
		if !f.php() || f.info.Size() == 0 {
			continue
		}
		c.report.Parsed.Files++
		if said, ok := c.previous.syntaxOf(f, c.Parser.Version()); ok {
			c.syntax = append(c.syntax, said...)
		} else {
			names = append(names, f.path)
		}
	}
	if len(names) == 0 {
		return nil
	}
	said, err := c.Parser.Parse(ctx, names)
	c.syntax = append(c.syntax, said...)
	return err
}

// judgeBroken finds files that PHP cannot have parsed as they are.
func (c *checker) judgeBroken() {
	for i := range c.files {
		f := &c.files[i]
		for _, m := range f.marks {
			switch m.kind {
			case markMerge:
				c.block("T15", place{f.path, m.line}, "holds the marks of a merge that was not resolved")
			case markNUL:
				if c.site != nil && !c.inVendor(f.path) && c.loaded(f.path) {
					c.block("T15", place{f.path, m.line}, "holds a zero byte")
				}
			}
		}
	}
	c.judgeEmpty()
}

// judgeEmpty finds files of which nothing is left.
func (c *checker) judgeEmpty() {
	if c.site == nil {
		return
	}
	for i := range c.files {
		if f := &c.files[i]; f.php() && f.info.Size() == 0 && (c.ofCore(f.path) || c.loaded(f.path)) && f.base() != "index.php" {
			c.block("T15", at(f.path), "is empty")
		}
	}
}

// loaded reports whether WordPress loads a file by its name.
func (c *checker) loaded(p string) bool {
	return oneOf(p, c.early()...)
}
