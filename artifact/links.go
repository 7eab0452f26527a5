package artifact

import (
	"fmt"
	"path"
	"strings"
)

// A node follows eight links in a row, as os.Root does.
const maxHops = 8

// LinkError is a link that must not be in a tree.
type LinkError struct{ Rule, Reason string }

// CheckLink resolves the link at p through the tree itself, as a kernel would,
// never through a disk: what it finds is what every node will find. at returns
// the tree's entry at a path.
func CheckLink(p, target string, at func(string) (Member, bool)) *LinkError {
	if bad := badTarget(target); bad != nil {
		return bad
	}
	var here []string // directories passed so far
	if dir := path.Dir(p); dir != "." {
		here = strings.Split(dir, "/")
	}
	todo := strings.Split(target, "/")
	hops := 1
	for len(todo) > 0 {
		name := todo[0]
		todo = todo[1:]
		switch name {
		case "", ".":
			continue
		case "..":
			if len(here) == 0 {
				return &LinkError{RuleLinkEscape, fmt.Sprintf("links to %q, outside the tree", target)}
			}
			here = here[:len(here)-1]
			continue
		}
		full := strings.Join(append(here[:len(here):len(here)], name), "/")
		e, ok := at(full)
		switch {
		case !ok || e.Kind == KindFile && len(todo) > 0:
			return &LinkError{RuleLinkDangling, fmt.Sprintf("links to %q, which is not in the tree", target)}
		case e.Kind != KindLink:
			here = strings.Split(full, "/")
			continue
		}
		if bad := badTarget(e.Target); bad != nil {
			return bad
		}
		if hops++; hops > 5*maxHops {
			return &LinkError{RuleLinkLoop, fmt.Sprintf("links to %q, which leads back to itself", target)}
		}
		todo = append(strings.Split(e.Target, "/"), todo...)
	}
	return arrived(p, target, strings.Join(here, "/"), hops)
}

// arrived judges where a link ended.
func arrived(p, target, end string, hops int) *LinkError {
	switch {
	case end == "" || strings.HasPrefix(p, end+"/"):
		return &LinkError{RuleLinkLoop, fmt.Sprintf("links to %q, a directory above itself", target)}
	case hops > maxHops:
		return &LinkError{RuleLinkDepth, fmt.Sprintf("links to %q through more than %d links", target, maxHops)}
	}
	return nil
}

func badTarget(target string) *LinkError {
	if strings.HasPrefix(target, "/") {
		return &LinkError{RuleLinkAbsolute, fmt.Sprintf("links to %q, an absolute path", target)}
	}
	if target == "" || len(target) > MaxPath {
		return &LinkError{RuleName, "has a target that is no path"}
	}
	for part := range strings.SplitSeq(target, "/") {
		if part == "" || part == "." || part == ".." {
			continue
		}
		if reason := BadName(part); reason != "" {
			return &LinkError{RuleName, "has a target that " + reason}
		}
	}
	return nil
}
