package wordpress_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/wpbake/wpbake/artifact"
	"github.com/wpbake/wpbake/wordpress"
)

func TestCarry(t *testing.T) {
	file := func(p string) artifact.File {
		return artifact.File{Path: p, Size: 3, Digest: artifact.DigestOf([]byte(p))}
	}
	const shop = "wp-content/themes/shop/"
	tree := wordpress.NewTree{
		Paths: map[string]bool{
			"wp-content": true, "wp-content/themes": true, "wp-content/themes/shop": true, "wp-includes": true, "wp-includes/js": true,
			shop + "style.css": false, shop + "Logo.png": false, shop + "parts": false, shop + "IMG": true,
			"wp-content/plugins": true, "wp-content/plugins/cart": true, "web/app/plugins/forms": true,
		},
		Leave: func(p string) bool { return p == "wp-content/uploads" || p == shop+"src" },
	}
	before := wordpress.Carried{From: "v40", Files: []artifact.File{file(shop + "app.40.css"), file(shop + "app.41.css")}}
	changed := file(shop + "app.41.css")
	changed.Digest = artifact.DigestOf([]byte("built anew"))
	for name, c := range map[string]struct {
		file artifact.File
		want bool
	}{
		"an asset of a theme":              {file(shop + "app.js"), true},
		"of a plugin":                      {file("wp-content/plugins/cart/dist/a.woff2"), true},
		"of WordPress itself":              {file("wp-includes/js/gone.min.js"), true},
		"in Bedrock":                       {file("web/app/plugins/forms/a.css"), true},
		"a map":                            {file(shop + "app.js.map"), true},
		"code":                             {file(shop + "inc/gone.php"), false},
		"there already":                    {file(shop + "style.css"), false},
		"there in other case":              {file(shop + "logo.png"), false},
		"below what is a file now":         {file(shop + "parts/a.css"), false},
		"below a directory of other case":  {file(shop + "img/a.png"), false},
		"of a theme that is gone":          {file("wp-content/themes/old/style.css"), false},
		"of a plugin that is gone":         {file("wp-content/plugins/old/a.css"), false},
		"an upload":                        {file("wp-content/uploads/a.png"), false},
		"excluded":                         {file(shop + "src/a.css"), false},
		"carried before":                   {file(shop + "app.40.css"), false},
		"carried before, then built again": {changed, true},
	} {
		got := wordpress.Carry([]artifact.File{c.file}, before, tree)
		if (len(got) == 1) != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// What was carried is in the bill of materials, and read back from it.
func TestCarriedSBOM(t *testing.T) {
	w, err := wordpress.Inspect(site(".", nil))
	if err != nil {
		t.Fatal(err)
	}
	plain, err := wordpress.SBOM(site(".", nil), "v42", w)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := wordpress.ReadCarried(plain); err != nil || len(got.Files) > 0 {
		t.Errorf("of none: %+v, %v", got, err)
	}
	want := wordpress.Carried{From: "v41", Files: []artifact.File{
		{Path: "wp-content/themes/shop/a b<ü>.css", Size: 7, Digest: artifact.DigestOf([]byte("x"))},
		{Path: "wp-content/themes/shop/b.js", Digest: artifact.DigestOf(nil)},
	}}
	sbom, err := wordpress.CarriedSBOM(plain, want)
	if err != nil {
		t.Fatal(err)
	}
	got, err := wordpress.ReadCarried(sbom)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	empty, err := wordpress.CarriedSBOM(plain, wordpress.Carried{})
	if err != nil || string(empty) != string(plain) {
		t.Errorf("%v\n%s", err, cmp.Diff(string(plain), string(empty)))
	}
}
