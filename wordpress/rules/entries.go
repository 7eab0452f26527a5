package rules

import (
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/wpbake/wpbake/wordpress/internal/printable"
	"github.com/wpbake/wpbake/wordpress/internal/safefs"
	"github.com/wpbake/wpbake/wordpress/scan"
	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
)

func entryRules() []Rule {
	return []Rule{
		{
			ID: "T02", Title: "A link that leaves the tree, or leads nowhere", Severities: []Severity{Block, Fix}, Phase: InTree,
			Why:  "Its target does not exist on a new node.",
			Fix:  "Replace the link by what it points to. A link to a file outside the tree becomes that file in the artifact.",
			find: func(v *view) hits { return links(v.tree, v.Dir) },
		},
		{
			ID: "T03", Title: "A socket, pipe or device; a hard link", Severities: []Severity{Block, Info}, Phase: InTree,
			Why:  "It cannot be shipped; hard links become separate files.",
			Fix:  "Delete it.",
			find: onTree(kinds),
		},
		{
			ID: "T04", Title: "Modes", Severities: []Severity{Block, Fix}, Phase: InTree,
			Why:  "Code that everybody can write turns a small hole into a lasting one; files that only their owner can read are 403 or 500 on a node.",
			Fix:  "Nothing: artifacts hold 0644 and 0755, owned by root. chmod o-w the tree to lose the report; u-s,g-s where it blocks.",
			find: onTree(modes),
		},
		{
			ID: "T05", Title: "Names", Severities: blocksOrWarns(), Phase: InTree,
			Why:  "File systems, S3 and archives disagree about such names; two that differ in case only are one file elsewhere, and one with a character that nobody sees is another than it looks.",
			Fix:  "Rename it.",
			find: onTree(names),
		},
	}
}

// The largest file that takes a link's place in an artifact.
const maxReplaced = 16 << 20

// links is T02: links that lead out of the tree or nowhere. Links inside the
// tree travel as links. dir is where the tree lies, if that is known.
func links(tree *scan.Tree, dir string) (h hits) {
	for i := range tree.Files {
		f := &tree.Files[i]
		if !f.IsLink() {
			continue
		}
		problem := leads(tree, f)
		if problem == "" {
			continue
		}
		if content, ok := sharedFile(tree, f, dir); ok {
			h.replace(at(f.Path), content, "links to %q, %s; the artifact holds that file", f.Target, problem)
			continue
		}
		h.block(at(f.Path), "links to %q, %s", f.Target, problem)
	}
	return h
}

// sharedFile returns the file that a link to another package of the system
// leads to: it takes the link's place in the artifact.
func sharedFile(tree *scan.Tree, f *scan.File, dir string) (content []byte, ok bool) {
	info, err := fs.Stat(tree.FS, f.Path) // follows it on the disk
	if err != nil || !info.Mode().IsRegular() || info.Size() > maxReplaced || !ofSystem(f, dir) {
		return nil, false
	}
	content, err = safefs.ReadFile(tree.FS, f.Path, maxReplaced)
	return content, err == nil
}

// ofSystem reports whether a link leads to a file of another package of the
// system: those may be copied. A link to anything else could carry a secret of
// this machine into an artifact.
func ofSystem(f *scan.File, dir string) bool {
	target := path.Clean(f.Target)
	if !path.IsAbs(target) {
		if dir == "" {
			return false
		}
		target = path.Join(dir, path.Dir(f.Path), target)
	}
	const share = "/usr/share/"
	roots := []string{share, "/etc/ssl/certs/"}
	if i := strings.Index(dir+"/", share); i >= 0 { // packages unpacked below another root
		roots = append(roots, dir[:i]+share)
	}
	return slices.ContainsFunc(roots, func(root string) bool { return strings.HasPrefix(target, root) })
}

const maxLinkHops = 40

// leads follows a link through the tree's own entries and says what is wrong
// with where it leads, or nothing.
func leads(tree *scan.Tree, f *scan.File) string {
	if strings.HasPrefix(f.Target, "/") {
		return "an absolute path"
	}
	here := path.Dir(f.Path)
	todo := strings.Split(f.Target, "/")
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
		e := tree.File(next)
		switch {
		case next == ".":
			here = next
		case e == nil:
			return "which is not in the tree"
		case !e.IsLink():
			here = next
		case strings.HasPrefix(e.Target, "/"):
			return "an absolute path"
		default:
			if hops++; hops > maxLinkHops {
				return "which leads back to itself"
			}
			todo = append(strings.Split(e.Target, "/"), todo...)
		}
	}
	if here == "." || strings.HasPrefix(f.Path, here+"/") {
		return "a directory above itself"
	}
	return ""
}

// kinds is T03.
func kinds(tree *scan.Tree) (h hits) {
	firstOf := map[[2]uint64]string{}
	for i := range tree.Files {
		f := &tree.Files[i]
		switch t := f.Info.Mode().Type(); {
		case t&(fs.ModeSocket|fs.ModeNamedPipe|fs.ModeDevice|fs.ModeCharDevice|fs.ModeIrregular) != 0:
			h.block(at(f.Path), "is a %s", kindName(t))
		case f.Regular():
			id, linked := f.ID()
			if !linked {
				continue
			}
			if first, again := firstOf[id]; again {
				h.info(at(f.Path), "is the same file as %s, and becomes a file of its own", first)
			}
			firstOf[id] = f.Path
		}
	}
	return h
}

func kindName(m fs.FileMode) string {
	switch {
	case m&fs.ModeSocket != 0:
		return "socket"
	case m&fs.ModeNamedPipe != 0:
		return "named pipe"
	default:
		return "device"
	}
}

// modes is T04. A report per mode is enough: there may be thousands.
func modes(tree *scan.Tree) (h hits) {
	var writable, private []string
	for i := range tree.Files {
		f := &tree.Files[i]
		m := f.Info.Mode()
		if !f.Regular() && !m.IsDir() {
			continue
		}
		need := fs.FileMode(0o004)
		if m.IsDir() {
			need = 0o005
		}
		switch {
		case m&(fs.ModeSetuid|fs.ModeSetgid) != 0 && f.Regular():
			h.block(at(f.Path), "runs as its owner (set-user-ID or set-group-ID)")
		case m&0o002 != 0:
			writable = append(writable, f.Path)
		case m&need != need:
			private = append(private, f.Path)
		}
	}
	if n := len(writable); n > 0 {
		h.fix(at(writable[0]), "can be written by everybody%s; the artifact holds 0644 and 0755", andMore(n-1))
	}
	if n := len(private); n > 0 {
		h.fix(at(private[0]), "can be read by its owner only%s; the artifact holds 0644 and 0755", andMore(n-1))
	}
	return h
}

// andMore says how many places there are besides the first.
func andMore(n int) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf(" (and %d more)", n)
}

// windowsDevice names what is a device in each directory of Windows, whatever
// extension it has.
var windowsDevice = regexp.MustCompile(`(?i)^(con|prn|aux|nul|com[0-9]|lpt[0-9])(\.|$)`)

// names is T05.
func names(tree *scan.Tree) (h hits) {
	seen := map[string]string{}
	fold := cases.Fold()
	for i := range tree.Files {
		f := &tree.Files[i]
		name := f.Base()
		switch {
		case !utf8.ValidString(name):
			h.block(at(strings.ToValidUTF8(f.Path, "\uFFFD")), "has a name that is not UTF-8")
			continue
		case strings.ContainsFunc(name, unicode.IsControl):
			h.block(at(printable.Clean(f.Path)), "has a control character in its name")
			continue
		case strings.ContainsFunc(name, unseen):
			h.block(at(f.Path), "has %U in its name, which shows nothing or turns the text around", []rune(name[strings.IndexFunc(name, unseen):])[0])
		case strings.HasSuffix(name, " ") || strings.HasSuffix(name, "."):
			h.warn(at(f.Path), "has a name that ends in a space or a dot")
		case strings.Contains(name, `\`):
			h.block(at(f.Path), "has a backslash in its name")
		case windowsDevice.MatchString(name) || strings.Contains(name, ":"):
			h.warn(at(f.Path), "has a name that Windows cannot hold")
		}
		key := strings.ToLower(f.Path)
		if !isASCII(key) {
			key = norm.NFC.String(fold.String(f.Path))
		}
		if other, taken := seen[key]; taken {
			h.block(at(f.Path), "is the same name as %s on other file systems", other)
		}
		seen[key] = f.Path
	}
	return h
}

// unseen reports what makes a name look like another: it turns the text around,
// has no width, or breaks the line.
func unseen(r rune) bool {
	return unicode.In(r, unicode.Cf, unicode.Zl, unicode.Zp, unicode.Other_Default_Ignorable_Code_Point)
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}
