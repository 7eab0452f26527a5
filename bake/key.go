package bake

import (
	"fmt"
	"io/fs"
	"os"

	"github.com/wpbake/wpbake/artifact"
	"github.com/wpbake/wpbake/wordpress"
)

// cacheKey names all that a release follows from, beside its tree, so that a
// remembered judgement holds for the same only. It is empty, and nothing is
// remembered under it, where this program cannot be told from others.
func (l *line) cacheKey(carried wordpress.Carried) string {
	program := programStamp()
	if program == "" {
		return ""
	}
	node := artifact.DigestOf(nil)
	if l.Check.Node != "" {
		node = nodeDigest(l.Check.Node)
	}
	return artifact.DigestOf(fmt.Appendf(nil, "%s\n%#v\n%#v\n%q\n%s\n%q\n%v",
		program, l.Check, l.Waivers, l.Exclude, node, phpStamps(l.Check), carried.Files)).Short()
}

// programStamp tells this program from others that may describe a tree
// differently; it is empty where that cannot be told.
func programStamp() string {
	name, err := os.Executable()
	if err != nil {
		return ""
	}
	info, err := os.Stat(name)
	if err != nil {
		return ""
	}
	return fmt.Sprintf("%d bytes of %d", info.Size(), info.ModTime().UnixNano())
}

// nodeDigest tells configurations of nodes apart, by names, sizes and times.
func nodeDigest(dir string) artifact.Digest {
	var list []byte
	fs.WalkDir(os.DirFS(dir), ".", func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			list = fmt.Appendf(list, "%q %v\n", p, err)
			return nil
		}
		if info, err := d.Info(); err == nil && !d.IsDir() {
			list = fmt.Appendf(list, "%q %d %d\n", p, info.Size(), info.ModTime().UnixNano())
		}
		return nil
	})
	return artifact.DigestOf(list)
}
