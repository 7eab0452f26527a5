package source

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strings"
)

// limits bound what a source may unpack to.
type limits struct {
	bytes   int64
	entries int
	depth   int
	ratio   int64 // plain bytes for each byte of an archive, beyond slack
	slack   int64
}

// defaultLimits are a tree's own, and a ratio that no real tree comes near:
// PHP compresses ten times at best, deflate can do a thousand.
func defaultLimits() limits {
	return limits{bytes: 64 << 30, entries: 500_000, depth: 64, ratio: 100, slack: 64 << 20}
}

// of returns the limits for an archive of a size.
func (l limits) of(size int64) limits {
	if most := l.slack + l.ratio*size; most < l.bytes {
		l.bytes = most
	}
	return l
}

// What a path already is.
type kind byte

const (
	absent  kind = iota
	implied      // a directory that only an entry below it names
	directory
	file
	link
)

// staging is a directory that is filled entry by entry. Links are made last:
// nothing is ever written through one.
type staging struct {
	source string // for errors
	root   *os.Root
	limits limits
	budget int64 // bytes that may still be written
	seen   map[string]kind
	links  []symlink
	buf    []byte
	top    string // the tree in the directory
}

type symlink struct{ path, target string }

func newStaging(dir string, l limits) (*staging, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("staging tree: %w", err)
	}
	return &staging{root: root, limits: l, budget: l.bytes, seen: make(map[string]kind), buf: make([]byte, 256<<10)}, nil
}

func (s *staging) refuse(rule, entry, reason string, args ...any) error {
	return refuse(rule, s.source, entry, reason, args...)
}

// claim takes a path for an entry, and makes the directories above it.
func (s *staging) claim(name string, k kind) error {
	if reason := badPath(name); reason != "" {
		return s.refuse(RulePath, name, "%s", reason)
	}
	if strings.Count(name, "/") >= s.limits.depth {
		return s.refuse(RuleDepth, name, "is nested deeper than %d directories", s.limits.depth)
	}
	if up := path.Dir(name); up != "." {
		switch s.seen[up] {
		case absent:
			if err := s.claim(up, implied); err != nil {
				return err
			}
		case file, link:
			return s.refuse(RuleDuplicate, name, "lies below %q, which is not a directory", up)
		}
	}
	switch was := s.seen[name]; {
	case was == implied && k == directory:
		s.seen[name] = k
		return nil
	case was != absent:
		return s.refuse(RuleDuplicate, name, "is there twice")
	case len(s.seen) >= s.limits.entries:
		return s.refuse(RuleEntries, name, "is one entry more than %d", s.limits.entries)
	}
	s.seen[name] = k
	if k == directory || k == implied {
		return s.made(name, s.root.Mkdir(name, 0o755))
	}
	return nil
}

// made explains what a file system refused.
func (s *staging) made(name string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, os.ErrExist):
		return s.refuse(RuleDuplicate, name, "is the same name as another to this file system")
	}
	return fmt.Errorf("staging tree: %w", err)
}

func (s *staging) addDir(name string) error { return s.claim(name, directory) }

// addFile writes a file, and reads its content to the end: that is where
// decoders compare checksums.
func (s *staging) addFile(ctx context.Context, name string, content io.Reader) error {
	if err := s.claim(name, file); err != nil {
		return err
	}
	f, err := s.root.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if err != nil {
		return s.made(name, err)
	}
	defer f.Close()
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		n, err := content.Read(s.buf)
		if s.budget -= int64(n); s.budget < 0 {
			return s.overBudget(name)
		}
		if _, err := f.Write(s.buf[:n]); err != nil {
			return fmt.Errorf("staging tree: %w", err)
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return s.damaged(name, err)
		}
	}
	if err := f.Close(); err != nil {
		return fmt.Errorf("staging tree: %w", err)
	}
	return nil
}

func (s *staging) overBudget(name string) error {
	if s.limits.bytes < defaultLimits().bytes {
		return s.refuse(RuleBomb, name, "brings the content over %d bytes, more than an archive of this size can mean", s.limits.bytes)
	}
	return s.refuse(RuleBytes, name, "brings the content over %d bytes", s.limits.bytes)
}

// damaged explains what a decoder refused.
func (s *staging) damaged(name string, err error) error {
	var refused *Refused
	switch {
	case errors.As(err, &refused):
		return refused // without the decoder's words around it
	case errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded):
		return err
	case errors.Is(err, io.ErrUnexpectedEOF):
		return s.refuse(RuleDamaged, name, "is cut off")
	}
	return s.refuse(RuleDamaged, name, "cannot be read: %v", err)
}

// addCopy writes a file that is a hard link in an archive.
func (s *staging) addCopy(ctx context.Context, name, target string) error {
	if s.seen[target] != file {
		return s.refuse(RuleLink, name, "is a hard link to %q, which is no file before it", target)
	}
	f, err := s.root.Open(target)
	if err != nil {
		return fmt.Errorf("staging tree: %w", err)
	}
	defer f.Close()
	return s.addFile(ctx, name, f)
}

// addLink takes a link whose target is dots that stay in the tree, then
// names. Whatever those names turn out to be, such a link cannot lead outside:
// where it starts is a real directory, and each link on its way is of the same
// kind.
func (s *staging) addLink(name, target string) error {
	if err := s.claim(name, link); err != nil {
		return err
	}
	depth := strings.Count(name, "/")
	rest := target
	for rest == ".." || strings.HasPrefix(rest, "../") {
		depth--
		rest = strings.TrimPrefix(rest[2:], "/")
	}
	switch {
	case depth < 0:
		return s.refuse(RuleLink, name, "links to %q, outside the tree", target)
	case target == "" || rest != "" && badPath(strings.TrimSuffix(rest, "/")) != "":
		return s.refuse(RuleLink, name, "links to %q, which is no plain path inside the tree", target)
	}
	s.links = append(s.links, symlink{name, target})
	return nil
}

// finish makes the links and finds the tree; with strip, in the one directory
// that holds everything. What a desktop leaves beside it does not count.
func (s *staging) finish(strip bool) error {
	if len(s.seen) == 0 {
		return s.refuse(RuleFormat, "", "holds nothing")
	}
	for _, l := range s.links {
		if err := s.made(l.path, s.root.Symlink(l.target, l.path)); err != nil {
			return err
		}
	}
	var tops []string
	for name := range s.seen {
		if !strings.Contains(name, "/") && name != "__MACOSX" && name != ".DS_Store" && name != "Thumbs.db" {
			tops = append(tops, name)
		}
	}
	if strip && len(tops) == 1 && (s.seen[tops[0]] == directory || s.seen[tops[0]] == implied) {
		s.top = tops[0]
	}
	return nil
}
