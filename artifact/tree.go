package artifact

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"time"
)

// found is an entry of a tree on disk, and how it looked when it was met.
type found struct {
	entry
	stamp stamp
}

// errVanished says that a tree changed under the walk.
type errVanished struct{ path, reason string }

func (e *errVanished) Error() string { return fmt.Sprintf("%q %s", e.path, e.reason) }

// scanner walks a tree. It looks at everything before anything is opened, and
// goes on after a refusal so that a person hears how much is wrong.
type scanner struct {
	exclude excluder
	dev     uint64
	found   []found
	bytes   int64
	names   *collisions
	refused []*TreeError
}

// scan lists the tree below root in the order of comparePaths, or says why no
// node could hold the same tree.
func scan(ctx context.Context, root *os.Root, exclude excluder) ([]found, error) {
	info, err := root.Stat(".")
	if err != nil {
		return nil, fmt.Errorf("reading tree: %w", err)
	}
	s := &scanner{exclude: exclude, dev: stampOf(info).dev, names: newCollisions()}
	if err := s.walk(ctx, root, "", 1); err != nil {
		return nil, err
	}
	s.checkLinks()
	if len(s.refused) > 0 {
		first := *s.refused[0]
		first.More = len(s.refused) - 1
		return nil, &first
	}
	return s.found, nil
}

func (s *scanner) refuse(rule, p, reason string) {
	s.refused = append(s.refused, &TreeError{Rule: rule, Path: p, Reason: reason})
}

func (s *scanner) walk(ctx context.Context, dir *os.Root, rel string, depth int) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	names, err := readNames(dir)
	if errors.Is(err, fs.ErrPermission) {
		s.refuse(RuleUnreadable, orRoot(rel), "cannot be listed")
		return nil
	}
	if err != nil {
		return vanished(rel, err)
	}
	for _, name := range names {
		p := path.Join(rel, name)
		if s.exclude.match(p) {
			continue
		}
		if len(s.found) >= maxEntries {
			return &TreeError{Rule: RuleEntries, Path: p, Reason: fmt.Sprintf("is one entry more than %d", maxEntries)}
		}
		if err := s.visit(ctx, dir, p, depth); err != nil {
			return err
		}
	}
	return nil
}

func readNames(dir *os.Root) ([]string, error) {
	f, err := dir.Open(".")
	if err != nil {
		return nil, err
	}
	defer f.Close()
	names, err := f.Readdirnames(-1)
	slices.Sort(names)
	return names, err
}

func (s *scanner) visit(ctx context.Context, dir *os.Root, p string, depth int) error {
	name := path.Base(p)
	info, err := dir.Lstat(name)
	if err != nil {
		return vanished(p, err)
	}
	if reason := badName(name); reason != "" {
		s.refuse(RuleName, p, reason)
		return nil
	}
	if len(p) > maxPath {
		s.refuse(RuleName, p, fmt.Sprintf("has a path longer than %d bytes", maxPath))
		return nil
	}
	if earlier := s.names.add(p); earlier != "" {
		s.refuse(RuleCollision, p, fmt.Sprintf("is the same name as %q on other file systems", earlier))
		return nil
	}
	f := found{entry: entry{path: p}, stamp: stampOf(info)}
	switch info.Mode().Type() {
	case fs.ModeDir:
		f.kind = kindDir
		return s.visitDir(ctx, dir, f, depth)
	case fs.ModeSymlink:
		f.kind = kindLink
		if f.target, err = dir.Readlink(name); err != nil {
			return vanished(p, err)
		}
		s.found = append(s.found, f)
	case 0:
		f.kind, f.size = kindFile, info.Size()
		return s.visitFile(f)
	default:
		s.refuse(RuleSpecial, p, "is a "+specialName(info.Mode()))
	}
	return nil
}

func (s *scanner) visitFile(f found) error {
	if f.stamp.mode&(fs.ModeSetuid|fs.ModeSetgid|fs.ModeSticky) != 0 {
		s.refuse(RuleMode, f.path, fmt.Sprintf("has the mode %v", f.stamp.mode))
		return nil
	}
	if s.bytes += f.size; s.bytes > maxBytes {
		return &TreeError{Rule: RuleBytes, Path: f.path, Reason: fmt.Sprintf("brings the tree over %d bytes", int64(maxBytes))}
	}
	s.found = append(s.found, f)
	return nil
}

func (s *scanner) visitDir(ctx context.Context, parent *os.Root, f found, depth int) error {
	if f.stamp.dev != s.dev {
		s.refuse(RuleMount, f.path, "is another file system")
		return nil
	}
	if depth >= maxDepth {
		s.refuse(RuleDepth, f.path, fmt.Sprintf("is nested deeper than %d directories", maxDepth))
		return nil
	}
	s.found = append(s.found, f)
	dir, err := parent.OpenRoot(path.Base(f.path))
	if errors.Is(err, fs.ErrPermission) {
		s.refuse(RuleUnreadable, f.path, "cannot be opened")
		return nil
	}
	if err != nil {
		return vanished(f.path, err)
	}
	defer dir.Close()
	return s.walk(ctx, dir, f.path, depth+1)
}

// checkLinks resolves all links against what was found. Only a whole tree can
// be judged so.
func (s *scanner) checkLinks() {
	if !slices.ContainsFunc(s.found, func(f found) bool { return f.kind == kindLink }) {
		return
	}
	byPath := make(map[string]entry)
	for i := range s.found {
		byPath[s.found[i].path] = s.found[i].entry
	}
	at := func(p string) (entry, bool) { e, ok := byPath[p]; return e, ok }
	for i := range s.found {
		f := &s.found[i]
		if f.kind != kindLink {
			continue
		}
		if bad := checkLink(f.path, f.target, at); bad != nil {
			s.refuse(bad.rule, f.path, bad.reason)
		}
	}
}

// vanished tells a tree that changes from one that cannot be read.
func vanished(p string, err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return &errVanished{path: orRoot(p), reason: "vanished"}
	}
	return fmt.Errorf("reading tree: %w", err)
}

func orRoot(p string) string {
	if p == "" {
		return "."
	}
	return p
}

func specialName(m fs.FileMode) string {
	switch {
	case m&fs.ModeNamedPipe != 0:
		return "named pipe"
	case m&fs.ModeSocket != 0:
		return "socket"
	case m&fs.ModeDevice != 0:
		return "device"
	default:
		return "special file"
	}
}

// sameTree returns how two scans of one tree differ.
func sameTree(before, after []found) *errVanished {
	for i := range before {
		switch {
		case i >= len(after) || comparePaths(before[i].path, after[i].path) < 0:
			return &errVanished{before[i].path, "vanished"}
		case before[i].path != after[i].path:
			return &errVanished{after[i].path, "appeared"}
		case before[i].entry != after[i].entry || before[i].stamp != after[i].stamp && before[i].kind != kindDir:
			return &errVanished{before[i].path, "changed"}
		}
	}
	if len(after) > len(before) {
		return &errVanished{after[len(before)].path, "appeared"}
	}
	return nil
}

// tick is longer than the clock that file systems stamp with is coarse.
const tick = 20 * time.Millisecond

// settle waits until a further change of the tree would carry another stamp
// than the ones already found: within one tick of the file system's clock two
// writes look like one.
func settle(ctx context.Context, tree []found) error {
	newest := int64(0)
	for i := range tree {
		newest = max(newest, tree[i].stamp.ctime, tree[i].stamp.mtime)
	}
	wait := tick - time.Since(time.Unix(0, newest))
	if wait <= 0 || wait > tick {
		return nil
	}
	select {
	case <-time.After(wait):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
