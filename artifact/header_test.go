package artifact

import (
	"archive/tar"
	"bytes"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// Headers that are written without package tar are those that it writes.
func TestHeaderIsPackageTars(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		e := Member{
			Path: rapid.SampledFrom([]string{"a", "wordpress/index.php", strings.Repeat("p", 99), strings.Repeat("p", 100),
				strings.Repeat("p", 60) + "/" + strings.Repeat("q", 60), "caf\u00e9"}).Draw(rt, "path"),
			Kind: rapid.SampledFrom([]Kind{KindDir, KindFile, KindLink}).Draw(rt, "kind"),
		}
		copy(e.Sum[:], rapid.SliceOfN(rapid.Byte(), 4, 4).Draw(rt, "sum"))
		h := tar.Header{Name: e.Path, ModTime: e.ModTime()}
		switch e.Kind {
		case KindDir:
			h.Typeflag, h.Mode, h.Name = tar.TypeDir, 0o755, e.Path+"/"
		case KindLink:
			e.Target = rapid.SampledFrom([]string{"x", strings.Repeat("t", 100), strings.Repeat("t", 101), "caf\u00e9"}).Draw(rt, "target")
			h.Typeflag, h.Mode, h.Linkname = tar.TypeSymlink, 0o777, e.Target
		default:
			e.Size = rapid.SampledFrom([]int64{0, 1, 511, 512, 1<<33 - 1, 1 << 33}).Draw(rt, "size")
			h.Typeflag, h.Mode, h.Size = tar.TypeReg, 0o644, e.Size
		}
		var want bytes.Buffer
		if err := tar.NewWriter(&want).WriteHeader(&h); err != nil {
			rt.Fatal(err)
		}
		got, err := AppendHeader([]byte("before"), &e)
		if err != nil || string(got) != "before"+want.String() {
			rt.Fatalf("%+v: %v, got\n%q, want\n%q", e, err, got, want.Bytes())
		}
		if size, err := TarSize(&e); err != nil || size != int64(want.Len())+e.Size+Padding(&e) {
			rt.Fatalf("%+v takes %d, %v", e, size, err)
		}
	})
}
