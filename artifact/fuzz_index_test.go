package artifact

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
)

// FuzzIndex reads any bytes as the text of an index, and as the frame it comes
// in.
func FuzzIndex(f *testing.F) {
	r, _ := parseRecipe(honestRecipe)
	c, _ := r.cook([]byte("content"), 2048)
	c.sign(spoiltNothing, nil, 0)
	text := c.index.marshal()
	f.Add(text)
	f.Add([]byte("wpbake index 1\nencoder x\nplanner y\nframes 0\nentries 0\n"))
	f.Add(bytes.Replace(text, []byte("frames 4"), []byte("frames 9223372036854775807"), 1))
	enc, err := newEncoder(1)
	if err != nil {
		f.Fatal(err)
	}
	defer enc.Close()
	f.Add(packIndex(enc, c.index))
	f.Add(skippable(indexMagic, rawFrame(text)))
	f.Add(skippable(indexMagic, enc.EncodeAll(make([]byte, 1<<20), nil)))
	f.Fuzz(func(t *testing.T, b []byte) {
		bounded(t, func() {
			x, err := parseIndex(b, "wordpress")
			form := func(x *index) []byte { return x.marshal() }
			if bytes.HasPrefix(b, skippable(indexMagic, nil)[:4]) {
				x, err = unpackIndex(b, "wordpress")
				form = func(*index) []byte { return b } // compressed as it pleases
			}
			if err != nil {
				if !errors.Is(err, errIndex) {
					t.Errorf("not a refusal: %v", err)
				}
				return
			}
			if !bytes.Equal(form(x), b) {
				t.Error("accepted another form")
			}
			consistent(t, x, Manifest{Tree: Tree{Prefix: "wordpress"}})
		})
	})
}

// Texts of an index that mean what an honest one means, or nearly.
func TestIndexHasOneForm(t *testing.T) {
	r, _ := parseRecipe(honestRecipe)
	c, _ := r.cook([]byte("x"), 60000)
	c.sign(spoiltNothing, nil, 0)
	text := string(c.index.marshal())
	entries := fmt.Sprintf("entries %d\n", len(c.index.entries))
	frames := fmt.Sprintf("frames %d\n", len(c.index.frames))
	for name, change := range map[string][2]string{
		"leading zero":       {entries, strings.Replace(entries, " ", " 0", 1)},
		"sign":               {entries, strings.Replace(entries, " ", " +", 1)},
		"space":              {entries, strings.Replace(entries, "\n", " \n", 1)},
		"one entry less":     {entries, fmt.Sprintf("entries %d\n", len(c.index.entries)-1)},
		"one entry more":     {entries, fmt.Sprintf("entries %d\n", len(c.index.entries)+1)},
		"negative":           {entries, "entries -1\n"},
		"one frame less":     {frames, fmt.Sprintf("frames %d\n", len(c.index.frames)-1)},
		"one frame more":     {frames, fmt.Sprintf("frames %d\n", len(c.index.frames)+1)},
		"carriage return":    {"planner test\n", "planner test\r\n"},
		"no planner":         {"planner test\n", ""},
		"other heading":      {"wpbake index 1", "wpbake index 2"},
		"upper-case digits":  {"\n", "\n"},
		"size with a zero":   {"\t600\t", "\t0600\t"},
		"negative size":      {"\t600\t", "\t-600\t"},
		"size of 2^63":       {"\t600\t", "\t9223372036854775808\t"},
		"size of 2^63-1":     {"\t600\t", fmt.Sprintf("\t%d\t", math.MaxInt64)},
		"another letter":     {"\nd\t", "\nD\t"},
		"empty line":         {frames, frames + "\n"},
		"bytes after it":     {"", "x"},
		"no last line's end": {"", ""},
	} {
		changed := strings.Replace(text, change[0], change[1], 1)
		switch name {
		case "upper-case digits":
			i := strings.IndexAny(text[strings.Index(text, frames)+len(frames):], "abcdef") + strings.Index(text, frames) + len(frames)
			changed = text[:i] + strings.ToUpper(text[i:i+1]) + text[i+1:]
		case "bytes after it":
			changed = text + "x"
		case "no last line's end":
			changed = strings.TrimSuffix(text, "\n")
		}
		if changed == text {
			t.Fatalf("%s changes nothing", name)
		}
		if _, err := parseIndex([]byte(changed), "wordpress"); !errors.Is(err, errIndex) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := parseIndex([]byte(text), "wordpress"); err != nil {
		t.Fatal(err)
	}
}
