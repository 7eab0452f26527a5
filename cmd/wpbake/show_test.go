package main

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/wpbake/wpbake/artifact"
)

func TestVersionList(t *testing.T) {
	digest := artifact.Digest("sha256:" + strings.Repeat("1", 64))
	var m artifact.Manifest
	m.Artifact.Digest, m.Artifact.Size = digest, 3<<20
	m.Tree.Files, m.Tree.Bytes, m.Tree.Prefix = 1, 2048, "wordpress"
	m.WordPress = &artifact.WordPress{
		Core: "6.8.3", DBVersion: 60421, PHP: "7.2.24",
		Plugins: []artifact.Component{{Slug: "cart", Version: "2.1"}}, Themes: []artifact.Component{{Slug: "shop", Version: "1.0"}},
	}
	out, got := recorder()
	out.List(versionList("v1", "sha256:m", m))
	want := `version    v1
manifest   sha256:m
artifact   ` + string(digest) + `, 3.0 MiB
tree       1 file, 2.0 KiB, below wordpress/
wordpress  6.8.3, database 60421, PHP 7.2.24, MySQL -
plugin     cart 2.1
theme      shop 1.0
`
	if diff := cmp.Diff(want, got.String()); diff != "" {
		t.Errorf("shown (-want +got):\n%s", diff)
	}
}
