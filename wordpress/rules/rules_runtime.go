package rules

import (
	"fmt"
	"io/fs"
	"path"

	"github.com/wpbake/wpbake/wordpress"
	"github.com/wpbake/wpbake/wordpress/internal/printable"
	"github.com/wpbake/wpbake/wordpress/php"
)

// Runtime is what was refused while a tree ran that PHP cannot write.
type Runtime struct {
	Denied []php.Denied
}

// CheckRuntime judges what a run of a tree wanted to write, and nothing else.
func CheckRuntime(tree fs.FS, o Options) Report {
	c := &checker{Options: o, tree: tree, rules: map[string]Rule{}}
	for _, r := range Catalogue() {
		c.rules[r.ID] = r
	}
	judgeRuntime(c)
	return c.finish()
}

// manyDenied files of one directory, refused to one place in the code, are one
// finding: they have names such as those of a cache.
const manyDenied = 5

// judgeRuntime is W99.
func judgeRuntime(c *checker) {
	if c.Runtime == nil {
		return
	}
	type from struct {
		dir, by string
		line    int
	}
	groups := map[from][]php.Denied{}
	for _, d := range c.Runtime.Denied {
		key := from{by: d.By, line: d.Line}
		if d.Path != "" {
			key.dir = path.Dir(d.Path)
		}
		groups[key] = append(groups[key], d)
	}
	for key, list := range groups {
		if key.dir == "" || len(list) <= manyDenied {
			for _, d := range list {
				c.denied(d)
			}
			continue
		}
		times := 0
		for _, d := range list {
			times += d.Times
		}
		c.warn("W99", at(key.dir), "%d paths in it were refused to %s() %s%s", len(list), list[0].Call, often(times), writer(list[0]))
	}
}

func (c *checker) denied(d php.Denied) {
	switch {
	case d.Path != "":
		c.warn("W99", at(printable.Clean(d.Path)), "%s() was refused %s%s", d.Call, often(d.Times), writer(d))
	case d.Outside != "":
		c.warn("W99", place{printable.Clean(d.By), d.Line}, "%s() of %q, outside of the tree, was refused %s%s", d.Call, printable.Cut(printable.Clean(d.Outside), 200), often(d.Times), ofPart(d.By))
	default:
		c.warn("W99", place{printable.Clean(d.By), d.Line}, "%s() was refused %s; PHP does not say for which path%s", d.Call, often(d.Times), ofPart(d.By))
	}
}

func often(times int) string {
	if times == 1 {
		return "once"
	}
	return fmt.Sprintf("%d times", times)
}

// writer says whose code it was.
func writer(d php.Denied) string {
	if d.By == "" {
		return ofPart(d.Path)
	}
	return fmt.Sprintf(", called by %s:%d%s", printable.Clean(d.By), d.Line, ofPart(d.By))
}

// ofPart says which part of WordPress a file belongs to, if that is one with a
// name.
func ofPart(p string) string {
	switch part := wordpress.PartOf(p); part.Kind {
	case "core":
		return " (WordPress itself)"
	case "plugin", "theme", "drop-in":
		return fmt.Sprintf(" (%s %s)", part.Kind, printable.Clean(part.Slug))
	case "mu-plugins":
		return " (must-use plugin)"
	}
	return ""
}
