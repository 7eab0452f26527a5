package main

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
)

// kind is one kind of file in a plugin: how many of a thousand files it is,
// its median size and how far sizes spread around it.
type kind struct {
	ext    string
	share  int
	median float64
	spread float64 // of the logarithm
	noise  bool    // compressed already
}

// kinds follow what popular plugins hold: most files are PHP, most bytes are
// PHP and JavaScript, an eighth of the bytes is compressed already.
var kinds = []kind{
	{ext: ".php", share: 640, median: 4200, spread: 1.15},
	{ext: ".js", share: 130, median: 11000, spread: 1.5},
	{ext: ".css", share: 72, median: 7000, spread: 1.3},
	{ext: ".json", share: 50, median: 6000, spread: 1.5},
	{ext: ".svg", share: 40, median: 1500, spread: 1},
	{ext: ".png", share: 50, median: 9000, spread: 1.3, noise: true},
	{ext: ".jpg", share: 8, median: 30000, spread: 1, noise: true},
	{ext: ".woff2", share: 8, median: 25000, spread: 0.8, noise: true},
	{ext: ".zip", share: 2, median: 60000, spread: 1, noise: true},
}

// generator writes plugins whose text is cut out of real files and renamed, so
// that it compresses as code does. The same base gives the same plugins.
type generator struct {
	tree   string
	random *rand.Rand
	text   map[string][][]byte // by extension: real files' content
	plugin string
}

func newGenerator(base listing, tree string) (*generator, error) {
	g := &generator{tree: tree, random: rand.New(rand.NewPCG(20261123, 42)), text: map[string][][]byte{}}
	for _, name := range base.files {
		b, err := os.ReadFile(filepath.Join(base.dir, name))
		if err != nil {
			return nil, err
		}
		if len(b) > 0 {
			g.text[filepath.Ext(name)] = append(g.text[filepath.Ext(name)], b)
		}
	}
	for _, k := range kinds {
		if !k.noise && len(g.text[k.ext]) == 0 {
			return nil, fmt.Errorf("the base tree has no %s file", k.ext)
		}
	}
	return g, nil
}

// planned is a file to write.
type planned struct {
	kind kind
	size float64
}

// grow adds so many files of so many bytes together.
func (g *generator) grow(files int, size int64) error {
	plans := make([]planned, files)
	sum := 0.0
	for i := range plans {
		k := g.kind()
		plans[i] = planned{k, min(k.median*math.Exp(k.spread*g.random.NormFloat64()), 3<<20)}
		sum += plans[i].size
	}
	for i := 0; i < files; {
		n := min(20+g.random.IntN(1200), files-i)
		g.plugin = fmt.Sprintf("%s-%s-%d", g.word(), g.word(), i)
		for _, p := range plans[i : i+n] {
			if err := g.file(p.kind, int(p.size*float64(size)/sum)+1); err != nil {
				return err
			}
		}
		i += n
	}
	return nil
}

func (g *generator) kind() kind {
	n := g.random.IntN(1000)
	for _, k := range kinds {
		if n -= k.share; n < 0 {
			return k
		}
	}
	return kinds[0]
}

func (g *generator) word() string {
	parts := []string{"acme", "block", "cache", "data", "easy", "form", "grid", "hook", "item", "job", "kit", "list",
		"map", "note", "order", "page", "query", "rest", "shop", "table", "user", "view", "widget", "zone"}
	return parts[g.random.IntN(len(parts))]
}

// file writes one file of the current plugin into one of its directories.
func (g *generator) file(k kind, size int) error {
	dirs := []string{"", "includes", "includes/admin", "src/" + g.word(), "src/" + g.word() + "/" + g.word(), "vendor/" + g.word() + "/src"}
	if k.ext != ".php" {
		dirs = []string{"assets", "assets/" + k.ext[1:], "build/" + g.word(), "assets/" + g.word()}
	}
	dir := filepath.Join(g.tree, "wp-content/plugins", g.plugin, dirs[g.random.IntN(len(dirs))])
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	name := fmt.Sprintf("%s-%s-%x%s", g.word(), g.word(), g.random.Uint32(), k.ext)
	b := g.noise(size)
	if !k.noise {
		b = g.code(k.ext, size)
	}
	return os.WriteFile(filepath.Join(dir, name), b, 0o644)
}

func (g *generator) noise(size int) []byte {
	b := make([]byte, size+8)
	for i := 0; i < size; i += 8 {
		v := g.random.Uint64()
		for j := range 8 {
			b[i+j] = byte(v >> (8 * j))
		}
	}
	return b[:size]
}

// code strings passages of real files together and renames what plugins
// prefix.
func (g *generator) code(ext string, size int) []byte {
	var b bytes.Buffer
	rename := strings.NewReplacer("wp_", strings.ReplaceAll(g.plugin, "-", "_")+"_", "WP_", g.word()+"_", "wp-", g.plugin+"-", "'post", "'"+g.word())
	for b.Len() < size {
		from := g.text[ext][g.random.IntN(len(g.text[ext]))]
		start := g.random.IntN(len(from))
		end := min(len(from), start+500+g.random.IntN(6000))
		rename.WriteString(&b, string(from[start:end]))
		b.WriteByte('\n')
	}
	return b.Bytes()[:size]
}
