package rules

import (
	"bytes"
	"errors"
	"io/fs"
	"path"
	"regexp"
	"runtime"
	"strings"
	"sync"

	"github.com/wpbake/wpbake/wordpress/internal/safefs"
	"github.com/wpbake/wpbake/wordpress/php"
	"github.com/wpbake/wpbake/wordpress/scan"
)

func uploadRules() []Rule {
	return []Rule{
		{
			ID: "T11", Title: "PHP where only media belongs", Severities: blocks(), Phase: InTree,
			Why:  "It is nearly always malware, and then the code beside it cannot be trusted either.",
			Fix:  "Find out how it got there, remove it, and deny PHP below uploads in the web server.",
			find: onTree(uploads),
		},
	}
}

// How much of a file below uploads is read.
const maxMedia = 4 << 10

// uploads is T11. It looks into uploads although no artifact holds them: what is
// there shows whether the code beside it can be trusted.
func uploads(tree *scan.Tree) (h hits) {
	for _, l := range tree.LeftOut {
		if l.By == "W01" || l.By == "W08" {
			h = append(h, programsBelow(tree.FS, l.Path)...)
		}
	}
	return h
}

// suspect is a file below uploads that has to be read.
type suspect struct {
	path    string
	verdict string
}

func programsBelow(fsys fs.FS, dir string) (h hits) {
	var list []suspect
	fs.WalkDir(fsys, dir, func(p string, d fs.DirEntry, err error) error {
		switch {
		case errors.Is(err, fs.ErrPermission), errors.Is(err, fs.ErrNotExist):
			return nil
		case err != nil || d.IsDir():
			return err
		case d.Type().IsRegular() && contentDecides(d.Name()):
			list = append(list, suspect{path: p})
		case isExecutable(d.Name()):
			h.block(at(p), "is a program among media")
		}
		return nil
	})
	readAll(list, func(s *suspect) { s.verdict = suspicion(fsys, s.path) })
	for _, s := range list {
		if s.verdict != "" {
			h.block(at(s.path), "%s", s.verdict)
		}
	}
	return h
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

func isExecutable(name string) bool {
	switch strings.ToLower(path.Ext(name)) {
	case ".php", ".php3", ".php4", ".php5", ".php7", ".php8", ".phtml", ".phar", ".phps", ".shtml":
		return true
	}
	return false
}

// contentDecides names files that are suspects until they are read.
func contentDecides(name string) bool {
	switch lower := strings.ToLower(name); {
	case lower == ".htaccess", lower == ".user.ini", lower == "index.php":
		return true
	default:
		return oneOf(path.Ext(lower), ".ico", ".jpg", ".jpeg", ".png", ".gif", ".webp")
	}
}

var handlers = regexp.MustCompile(`(?im)^\s*(<Files[^\n]*\n\s*)?(SetHandler|AddHandler|AddType)\b.*php|^\s*(php_value\s+)?auto_prepend_file`)

// suspicion says what is wrong with a file below uploads, or nothing.
func suspicion(fsys fs.FS, p string) string {
	src, err := safefs.ReadFile(fsys, p, maxMedia)
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
