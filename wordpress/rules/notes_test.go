package rules_test

import (
	"context"
	"fmt"
	"io/fs"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/wpbake/wpbake/wordpress/php"
	"github.com/wpbake/wpbake/wordpress/rules"
	"pgregory.net/rapid"
)

// readParser finds a syntax error wherever a file says so, and notes which
// files it was asked about.
type readParser struct {
	tree    fstest.MapFS
	version string
	asked   *[]string
}

func (p readParser) Version() string { return p.version }

func (p readParser) Parse(_ context.Context, files []string) ([]php.SyntaxError, error) {
	var bad []php.SyntaxError
	for _, name := range files {
		if strings.Contains(string(p.tree[name].Data), "BROKEN") {
			bad = append(bad, php.SyntaxError{Path: name, Line: 3, Message: "syntax error in PHP " + p.version})
		}
	}
	*p.asked = append(*p.asked, files...)
	return bad, nil
}

// contents show all that notes keep, and nothing.
var contents = []string{
	"", "<?php\n", "<?php\nBROKEN\n", "<?php\nphpinfo();\nsession_start();\n", "<?php\n\x00", "<?php\n<<<<<<< a\n=======\n>>>>>>> b\n",
	"AKIA" + "ABCDEFGHIJKLMNOP\nASIA" + "ABCDEFGHIJKLMNOP\n", "-----BEGIN RSA " + "PRIVATE KEY-----\n",
	"<?php 'sk_" + "live_4eC39HqLyjWDarjtT1zdp7dc';\n", "dop_" + "v1_" + strings.Repeat("0123456789abcdef", 4), "ghp_" + "0123456789abcdefghijABCDEFGHIJ012345\n",
	"<?php\nfile_put_contents( __DIR__ . '/x', '' );\nfilemtime( 'x' );\n", "<?php // ionCube\nrequire 'vendor/autoload.php';\n",
	"<?php\n$m = 'manifest.json';\n", "<?php\n/* Plugin Name: Cart\nVersion: 3\nRequires PHP: 9.9 */\n", "version https://git-lfs.github.com/spec/v1\n", `{"require":{"acme/cart":"1"}}`,
}

var changing = []string{
	"index.php", "wp-login.php", "wp-content/index.php", "wp-content/themes/shop/functions.php", "wp-content/themes/shop/inc.php",
	"wp-content/themes/shop/manifest.json", "wp-content/plugins/cart/cart.php", "wp-content/plugins/cart/composer.json",
	"wp-content/plugins/cart/notes.txt", "wp-content/plugins/cart/vendor/a.php", "wp-content/mu-plugins/m.php", "wp-content/object-cache.php",
	"wp-content/plugins/cart/caf\u00e9.php", "wp-content/plugins/cart/key.pem", "wp-content/plugins/cart/key",
}

func checkWith(t *rapid.T, tree fstest.MapFS, version string, e *rules.Previous) (rules.Report, []string) {
	var asked []string
	o := rules.Options{Cron: "x", Previous: e}
	if version != "" {
		o.Parser = readParser{tree, version, &asked}
	}
	r, err := rules.Check(t.Context(), tree, o)
	if err != nil {
		t.Fatal(err)
	}
	return r, asked
}

// A tree is changed in all ways, again and again; with the notes of the check
// before a check finds, and notes, what one without them does.
func TestEarlierChecksChangeNoFinding(t *testing.T) {
	found := map[string]bool{}
	rapid.Check(t, func(t *rapid.T) {
		tree := goodTree()
		var e *rules.Previous
		then, thenVersion := fstest.MapFS{}, ""
		for range rapid.IntRange(2, 5).Draw(t, "checks") {
			for range rapid.IntRange(0, 6).Draw(t, "changes") {
				name := rapid.SampledFrom(changing).Draw(t, "file")
				if i := rapid.IntRange(-2, len(contents)-1).Draw(t, "content"); i < 0 {
					delete(tree, name)
				} else {
					tree[name] = &fstest.MapFile{Data: []byte(contents[i]), Mode: 0o644}
				}
			}
			version := rapid.SampledFrom([]string{"8.2.1", "8.2.1", "8.4.0", ""}).Draw(t, "PHP")
			want, all := checkWith(t, tree, version, nil)
			got, asked := checkWith(t, tree, version, e)
			if !reflect.DeepEqual(got, want) {
				t.Fatalf("with notes:\n%+v\nwithout:\n%+v", got, want)
			}
			if e != nil && version == thenVersion {
				all = slices.DeleteFunc(all, func(p string) bool { return then[p] == tree[p] })
			}
			if !slices.Equal(asked, all) {
				t.Fatalf("PHP parsed %q, want %q", asked, all)
			}
			for _, f := range got.Findings {
				found[f.ID] = true
			}
			then, thenVersion = maps.Clone(tree), version
			e = &rules.Previous{Notes: got.Notes, Unchanged: func(p string) bool { return then[p] != nil && then[p] == tree[p] }}
		}
	})
	for _, id := range []string{"T08", "T14", "T15"} {
		if !found[id] {
			t.Errorf("no tree had a finding %s", id)
		}
	}
}

// closed is a tree of which files cannot be opened that hold a mark.
type closed struct {
	fstest.MapFS
	names []string
}

func (c closed) Open(name string) (fs.File, error) {
	if slices.Contains(c.names, name) {
		return nil, fmt.Errorf("%q was opened", name)
	}
	return c.MapFS.Open(name)
}

// What is unchanged is not opened, and what was found in it is found again;
// with notes that are damaged, or none, all is read.
func TestUnchangedFilesAreNotOpened(t *testing.T) {
	tree := goodTree()
	name := "wp-content/plugins/cart/inc/key.php"
	tree[name] = &fstest.MapFile{Data: []byte("<?php\n$key = 'AKIA" + "ABCDEFGHIJKLMNOP';\n"), Mode: 0o644}
	first, err := rules.Check(t.Context(), tree, rules.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(first.Findings, func(f rules.Finding) bool { return f.Path == name }) {
		t.Fatal("the key is not found at all")
	}
	all := func(string) bool { return true }
	again, err := rules.Check(t.Context(), closed{tree, []string{name}}, rules.Options{Previous: &rules.Previous{Notes: first.Notes, Unchanged: all}})
	if err != nil || !reflect.DeepEqual(again, first) {
		t.Fatalf("%v\n%+v\nwant\n%+v", err, again, first)
	}
	for i := range first.Notes {
		bad := slices.Clone(first.Notes)
		bad[i] ^= 1
		for _, e := range []rules.Previous{{Notes: bad, Unchanged: all}, {Notes: first.Notes[:i], Unchanged: all}} {
			if got, err := rules.Check(t.Context(), tree, rules.Options{Previous: &e}); err != nil || !reflect.DeepEqual(got, first) {
				t.Fatalf("byte %d damaged: %v\n%+v", i, err, got)
			}
			if i%40 == 0 {
				if _, err := rules.Check(t.Context(), closed{tree, []string{name}}, rules.Options{Previous: &e}); err == nil {
					t.Errorf("byte %d damaged: notes are used", i)
				}
			}
		}
	}
	if _, err := rules.Check(t.Context(), closed{tree, []string{name}}, rules.Options{Previous: &rules.Previous{Notes: first.Notes}}); err == nil {
		t.Error("notes are used of what may have changed")
	}
}

// Notes follow from the tree, whichever check found what is in them.
func TestNotesDoNotTellWhoFoundWhat(t *testing.T) {
	tree := goodTree()
	check := func(e *rules.Previous) rules.Report {
		t.Helper()
		r, err := rules.Check(t.Context(), tree, rules.Options{Parser: readParser{tree, "8.2", new([]string)}, Previous: e})
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	broken := &fstest.MapFile{Data: []byte("<?php\nBROKEN\n"), Mode: 0o644}
	tree["wp-content/themes/shop/functions.php"] = broken
	first := check(nil)
	const later = "wp-content/plugins/cart/cart.php" // sorts before
	tree[later] = broken
	e := &rules.Previous{Notes: first.Notes, Unchanged: func(p string) bool { return p != later }}
	if got, want := check(e).Notes, check(nil).Notes; !slices.Equal(got, want) {
		t.Errorf("notes\n%s\nwant\n%s", got[32:], want[32:])
	}
}
