package rules

import (
	"fmt"
	"path"

	"github.com/wpbake/wpbake/wordpress"
	"github.com/wpbake/wpbake/wordpress/internal/printable"
	"github.com/wpbake/wpbake/wordpress/php"
)

func runtimeRules() []Rule {
	return []Rule{
		{
			ID: "W99", Title: "Writes into a read-only tree", Severities: warns(), Phase: InRun,
			Why: "What PHP wanted to write is lost. On a tree that it could write, it would be on one node only.",
			Fix: "Give the plugin a directory outside of the tree, such as uploads or a temporary one, or turn off what writes.",
			find: func(v *view) hits {
				if v.Runtime == nil {
					return nil
				}
				return deniedWrites(v.Runtime.Denied)
			},
		},
	}
}

// Runtime is what was refused while a tree ran that PHP cannot write.
type Runtime struct {
	Denied []php.Denied
}

// manyDenied files of one directory, refused to one place in the code, are one
// finding: they have names such as those of a cache.
const manyDenied = 5

// deniedWrites is W99.
func deniedWrites(denied []php.Denied) (h hits) {
	type from struct {
		dir, by string
		line    int
	}
	groups := map[from][]php.Denied{}
	for _, d := range denied {
		key := from{by: d.By, line: d.Line}
		if d.Path != "" {
			key.dir = path.Dir(d.Path)
		}
		groups[key] = append(groups[key], d)
	}
	for key, list := range groups {
		if key.dir == "" || len(list) <= manyDenied {
			for _, d := range list {
				p, what := deniedWrite(d)
				h.warn(p, "%s", what)
			}
			continue
		}
		times := 0
		for _, d := range list {
			times += d.Times
		}
		h.warn(at(key.dir), "%d paths in it were refused to %s() %s%s", len(list), list[0].Call, often(times), writer(list[0]))
	}
	return h
}

// deniedWrite says what was refused, and where to look.
func deniedWrite(d php.Denied) (place, string) {
	switch {
	case d.Path != "":
		return at(printable.Clean(d.Path)), fmt.Sprintf("%s() was refused %s%s", d.Call, often(d.Times), writer(d))
	case d.Outside != "":
		return place{printable.Clean(d.By), d.Line}, fmt.Sprintf("%s() of %q, outside of the tree, was refused %s%s",
			d.Call, printable.Cut(printable.Clean(d.Outside), 200), often(d.Times), ofPart(d.By))
	default:
		return place{printable.Clean(d.By), d.Line}, fmt.Sprintf("%s() was refused %s; PHP does not say for which path%s", d.Call, often(d.Times), ofPart(d.By))
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
