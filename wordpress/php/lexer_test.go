package php_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/wpbake/wpbake/wordpress/php"
)

// tokens writes the tokens of a source, one after the other.
func tokens(src string) string {
	kinds := map[php.TokenKind]string{
		php.TokenHTML: "html", php.TokenWord: "word", php.TokenVariable: "var", php.TokenString: "string",
		php.TokenTemplate: "template", php.TokenNumber: "number", php.TokenSign: "sign",
	}
	var list []string
	l := php.NewLexer([]byte(src))
	for t := l.Next(); t.Kind != php.TokenEnd; t = l.Next() {
		list = append(list, fmt.Sprintf("%s %q:%d", kinds[t.Kind], t.Text, t.Line))
	}
	return strings.Join(list, ", ")
}

func TestLexer(t *testing.T) {
	for src, want := range map[string]string{
		"":                                 ``,
		"<b>\n":                            `html "<b>\n":1`,
		"a<?php\nb":                        `html "a":1, word "b":2`,
		"<?= 1 ?>\nc":                      `number "1":1, sign ";":2, html "c":2`,
		"<?xml ?><?PHP d":                  `html "<?xml ?>":1, word "d":1`,
		"<?php // e ?>f":                   `sign ";":1, html "f":1`,
		"<?php /* g */ # h\n#[i]\n":        `sign "#":2, sign "[":2, word "i":2, sign "]":2`,
		`<?php 'it\'s' "a\n" "$b" "{$c}";`: `string "it's":1, string "a\n":1, template "$b":1, template "{$c}":1, sign ";":1`,
		"<?php `ls`":                       `template "":1`,
		"<?php $x1 \\A\\b 0x1F 1.5 .":      `var "x1":1, word "\\A\\b":1, number "0x1F":1, number "1.5":1, sign ".":1`,
		"<?php <<<X\nd $e\n  X;":           `template "d $e":1, sign ";":3`,
		"<?php <<<'X'\nd $e\nX . 1":        `string "d $e":1, sign ".":3, number "1":3`,
		"<?php 'never ends":                `string "never ends":1`,
	} {
		if got := tokens(src); got != want {
			t.Errorf("%q\n got %s\nwant %s", src, got, want)
		}
	}
}

// Whatever the source, it has an end, and lines only grow.
func FuzzLexer(f *testing.F) {
	f.Add("a<?php 'b' \"$c\" <<<D\ne\nD /* f */ ?>\n<?= `g`")
	f.Fuzz(func(t *testing.T, src string) {
		l := php.NewLexer([]byte(src))
		line := 1
		for n := 0; ; n++ {
			token := l.Next()
			if token.Kind == php.TokenEnd {
				break
			}
			if token.Line < line || token.Line > 1+strings.Count(src, "\n") || n > len(src) || token.Kind == php.TokenSign && len(token.Text) != 1 {
				t.Fatalf("token %d is %+v", n, token)
			}
			line = token.Line
		}
	})
}
