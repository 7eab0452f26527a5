package wordpress

import (
	"crypto/md5" // the checksums of WordPress.org are MD5
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// Upstream compares the core of a tree with a list of checksums.
type Upstream struct {
	Differ  []string `json:"differ"`
	Missing []string `json:"missing"`
	Extra   []string `json:"extra"` // below wp-admin and wp-includes, or wp-*.php beside them
}

const maxChecksums = 8 << 20

// ParseChecksums reads checksums as WordPress.org's API gives them: files and
// their MD5, or versions and theirs, of which core is taken.
func ParseChecksums(r io.Reader, core string) (map[string]string, error) {
	b, err := io.ReadAll(io.LimitReader(r, maxChecksums+1))
	if err != nil {
		return nil, fmt.Errorf("reading checksums: %w", err)
	}
	if len(b) > maxChecksums {
		return nil, fmt.Errorf("reading checksums: more than %d bytes", maxChecksums)
	}
	var doc struct {
		Checksums json.RawMessage `json:"checksums"`
	}
	if err := json.Unmarshal(b, &doc); err != nil {
		return nil, fmt.Errorf("reading checksums: %w", err)
	}
	var files map[string]string
	if json.Unmarshal(doc.Checksums, &files) == nil && len(files) > 0 {
		return files, nil
	}
	var versions map[string]map[string]string
	if json.Unmarshal(doc.Checksums, &versions) != nil || len(versions) == 0 {
		return nil, errors.New("reading checksums: want an object \"checksums\" of files and their MD5")
	}
	if files = versions[core]; len(files) == 0 {
		return nil, fmt.Errorf("reading checksums: there are none of WordPress %s", core)
	}
	return files, nil
}

// CompareUpstream compares WordPress's own files in a tree with checksums. What
// lies in wp-content is the site's, and does not count.
func CompareUpstream(fsys fs.FS, sums map[string]string) (Upstream, error) {
	core, _, err := Locate(fsys)
	if err != nil {
		return Upstream{}, err
	}
	sub, err := fs.Sub(fsys, core)
	if err != nil {
		return Upstream{}, err
	}
	u := Upstream{Differ: []string{}, Missing: []string{}, Extra: []string{}}
	for name, want := range sums {
		if strings.HasPrefix(name, "wp-content") || !fs.ValidPath(name) {
			continue
		}
		got, err := md5Of(sub, name)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			u.Missing = append(u.Missing, name)
		case err != nil:
			return Upstream{}, err
		case !strings.EqualFold(got, want):
			u.Differ = append(u.Differ, name)
		}
	}
	err = fs.WalkDir(sub, ".", func(name string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if e.IsDir() {
			if name == "." || name == "wp-admin" || name == "wp-includes" || strings.HasPrefix(name, "wp-admin/") || strings.HasPrefix(name, "wp-includes/") {
				return nil
			}
			return fs.SkipDir
		}
		if _, listed := sums[name]; !listed && coreName(name) {
			u.Extra = append(u.Extra, name)
		}
		return nil
	})
	for _, list := range [][]string{u.Differ, u.Missing, u.Extra} {
		slices.Sort(list)
	}
	return u, err
}

// coreName reports whether only WordPress itself should have a file there.
func coreName(name string) bool {
	if strings.Contains(name, "/") {
		return true
	}
	return strings.HasPrefix(name, "wp-") && path.Ext(name) == ".php" && name != "wp-config.php"
}

func md5Of(fsys fs.FS, name string) (string, error) {
	f, err := fsys.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	sum := md5.New()
	if _, err := io.Copy(sum, f); err != nil {
		return "", fmt.Errorf("reading %q: %w", name, err)
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}
