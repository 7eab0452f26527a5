package bake

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"

	"github.com/wpbake/wpbake/artifact/source"
)

// origin is a tree that was opened.
type origin struct {
	spec  string // as a person named it
	dir   string // that holds it; spec itself when that is a directory
	close func() error
}

func open(ctx context.Context, spec string) (*origin, error) {
	if err := CheckTree(spec); err != nil {
		return nil, err
	}
	dir, done, err := source.Open(ctx, spec)
	if err != nil {
		return nil, err
	}
	return &origin{spec, dir, done}, nil
}

// CheckTree refuses what is no tree, as far as a look tells, before anything else
// is done.
func CheckTree(spec string) error {
	err := source.Check(spec)
	var refused *source.Refused
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return &SettingError{fmt.Errorf("no tree %q", spec), "--tree DIR names the directory that holds wp-includes"}
	case errors.As(err, &refused):
		return &SettingError{err, refused.Hint()}
	case err != nil:
		return fmt.Errorf("reading tree %q: %w", spec, err)
	}
	return nil
}

// cacheName names a tree that was unpacked into a scratch directory after where
// it comes from: the next archive of a folder and the next revision of a
// repository share most files with this one. A tree that is a directory goes by
// its path.
func (o *origin) cacheName() string {
	if o.spec == o.dir {
		return ""
	}
	where := filepath.Dir(o.spec)
	if repository, ok := strings.CutPrefix(o.spec, "git:"); ok {
		where = repository[:max(0, strings.LastIndex(repository, "@"))]
	}
	abs, err := filepath.Abs(where)
	if err != nil {
		return ""
	}
	return "unpacked from " + abs
}
