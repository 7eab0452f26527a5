package rules

import (
	"bytes"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/wpbake/wpbake/wordpress/internal/printable"
	"github.com/wpbake/wpbake/wordpress/internal/safefs"
	"github.com/wpbake/wpbake/wordpress/php"
	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
)

// The largest file that takes a link's place in an artifact.
const maxReplaced = 16 << 20

// judgeLinks is T02. Links inside the tree travel as links.
func judgeLinks(c *checker) {
	for i := range c.files {
		f := &c.files[i]
		if !f.link() {
			continue
		}
		if problem := c.leads(f); problem != "" {
			c.judgeLink(f, problem)
		}
	}
}

// judgeLink repairs a link to a file outside, and refuses the others.
func (c *checker) judgeLink(f *file, problem string) {
	info, err := fs.Stat(c.tree, f.path) // follows it on the disk
	if err == nil && info.Mode().IsRegular() && info.Size() <= maxReplaced && c.shared(f) {
		content, err := safefs.ReadFile(c.tree, f.path, maxReplaced)
		if err == nil {
			c.replace(f.path, content)
			c.fix("T02", at(f.path), "links to %q, %s; the artifact holds that file", f.target, problem)
			return
		}
	}
	c.block("T02", at(f.path), "links to %q, %s", f.target, problem)
}

// shared reports whether a link leads to a file of another package of the
// system: those may be copied. A link to anything else could carry a secret of
// this machine into an artifact.
func (c *checker) shared(f *file) bool {
	target := path.Clean(f.target)
	if !path.IsAbs(target) {
		if c.Dir == "" {
			return false
		}
		target = path.Join(c.Dir, path.Dir(f.path), target)
	}
	const share = "/usr/share/"
	roots := []string{share, "/etc/ssl/certs/"}
	if i := strings.Index(c.Dir+"/", share); i >= 0 { // packages unpacked below another root
		roots = append(roots, c.Dir[:i]+share)
	}
	for _, root := range roots {
		if strings.HasPrefix(target, root) {
			return true
		}
	}
	return false
}

const maxLinkHops = 40

// leads follows a link through the tree's own entries and says what is wrong
// with where it leads, or nothing.
func (c *checker) leads(f *file) string {
	if strings.HasPrefix(f.target, "/") {
		return "an absolute path"
	}
	here := path.Dir(f.path)
	todo := strings.Split(f.target, "/")
	for hops := 0; len(todo) > 0; {
		part := todo[0]
		todo = todo[1:]
		if part == "" || part == "." {
			continue
		}
		if part == ".." && here == "." {
			return "outside the tree"
		}
		next := path.Join(here, part)
		e := c.byPath[next]
		switch {
		case next == ".":
			here = next
		case e == nil:
			return "which is not in the tree"
		case !e.link():
			here = next
		case strings.HasPrefix(e.target, "/"):
			return "an absolute path"
		default:
			if hops++; hops > maxLinkHops {
				return "which leads back to itself"
			}
			todo = append(strings.Split(e.target, "/"), todo...)
		}
	}
	if here == "." || strings.HasPrefix(f.path, here+"/") {
		return "a directory above itself"
	}
	return ""
}

// windowsDevice names what is a device in each directory of Windows, whatever
// extension it has.
var windowsDevice = regexp.MustCompile(`(?i)^(con|prn|aux|nul|com[0-9]|lpt[0-9])(\.|$)`)

// judgeNames is T05.
func judgeNames(c *checker) {
	seen := map[string]string{}
	fold := cases.Fold()
	for i := range c.files {
		f := &c.files[i]
		name := f.base()
		switch {
		case !utf8.ValidString(name):
			c.block("T05", at(strings.ToValidUTF8(f.path, "\uFFFD")), "has a name that is not UTF-8")
			continue
		case strings.ContainsFunc(name, unicode.IsControl):
			c.block("T05", at(printable.Clean(f.path)), "has a control character in its name")
			continue
		case strings.HasSuffix(name, " ") || strings.HasSuffix(name, "."):
			c.warn("T05", at(f.path), "has a name that ends in a space or a dot")
		case strings.Contains(name, `\`):
			c.block("T05", at(f.path), "has a backslash in its name")
		case windowsDevice.MatchString(name) || strings.Contains(name, ":"):
			c.warn("T05", at(f.path), "has a name that Windows cannot hold")
		}
		key := strings.ToLower(f.path)
		if !ascii(key) {
			key = norm.NFC.String(fold.String(f.path))
		}
		if other, taken := seen[key]; taken {
			c.block("T05", at(f.path), "is the same name as %s on other file systems", other)
		}
		seen[key] = f.path
	}
}

func ascii(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

var utf8BOM = []byte("\xef\xbb\xbf")

// judgeOutput is T16: what is printed before WordPress could set a header.
func judgeOutput(c *checker) {
	if c.site == nil {
		return
	}
	for _, p := range c.early() {
		src, err := c.read(p, lookPHP)
		if err != nil {
			continue
		}
		if bytes.HasPrefix(src, utf8BOM) {
			c.replace(p, bytes.TrimPrefix(src, utf8BOM))
			c.fix("T16", place{p, 1}, "begins with a byte order mark; the artifact holds it without")
			src = src[len(utf8BOM):]
		}
		if where, what := output(src); what != "" {
			c.warn("T16", place{p, where}, "%s", what)
		}
	}
}

// early lists the files that are loaded before WordPress prints anything.
func (c *checker) early() []string {
	var list []string
	if c.site.Config != nil {
		list = append(list, c.site.Config.Files...)
	}
	for _, x := range c.site.Plugins {
		list = append(list, x.File)
	}
	for _, x := range c.site.Themes {
		list = append(list, path.Join(x.Dir, "functions.php"))
	}
	list = append(list, c.site.DropIns...)
	return append(list, c.site.MustUse...)
}

// output finds text before the first open tag and behind the last close tag.
func output(src []byte) (line int, what string) {
	l := php.NewLexer(src)
	first := l.Next()
	if first.Kind == php.TokenHTML {
		if text := first.Text; bytes.HasPrefix(src, []byte("#!")) {
			_, text, _ = strings.Cut(text, "\n")
			if text == "" {
				return behind(l)
			}
		}
		return first.Line, fmt.Sprintf("prints %d byte(s) before <?php", len(first.Text))
	}
	return behind(l)
}

func behind(l *php.Lexer) (line int, what string) {
	last := php.Token{}
	for t := l.Next(); t.Kind != php.TokenEnd; t = l.Next() {
		last = t
	}
	if last.Kind == php.TokenHTML && strings.TrimSpace(last.Text) != "" {
		return last.Line, "prints text behind the last ?>"
	}
	return 0, ""
}
