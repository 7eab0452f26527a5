package php_test

import (
	"testing"

	"github.com/wpbake/wpbake/wordpress/php"
)

func TestEvaluate(t *testing.T) {
	names := php.Names{File: "wp/config/a.php", Constant: func(name string) php.Value {
		if name == "KNOWN" {
			return php.Value{Kind: php.String, Text: "k"}
		}
		return php.Value{}
	}}
	path := func(p string) php.Value { return php.Value{Kind: php.String, Text: p, Tree: true} }
	for src, want := range map[string]php.Value{
		`'a' . "b" . KNOWN`:           {Kind: php.String, Text: "abk"},
		`\KNOWN`:                      {Kind: php.String, Text: "k"},
		`'a' . OTHER`:                 {},
		`f( 'a' )`:                    {},
		`'a' 'b'`:                     {},
		``:                            {},
		`-0x10`:                       {Kind: php.Number, Text: "-16"},
		`! ! 'a'`:                     {Kind: php.Bool, Text: "1"},
		`null`:                        {Kind: php.Null},
		`__FILE__`:                    path("/wp/config/a.php"),
		`__DIR__ . '/x'`:              path("/wp/config/x"),
		`dirname( __DIR__, 2 )`:       path(""),
		`dirname( __FILE__, 4 )`:      path("/.."),
		`dirname( '/srv/x' ) . '/y'`:  {Kind: php.String, Text: "/srv/y"},
		`'x' . __DIR__`:               {}, // no path of the tree any more
		`dirname( __DIR__, KNOWN )`:   {},
		`( ( ( 'a' ) ) )`:             {Kind: php.String, Text: "a"},
		`'a' . DIRECTORY_SEPARATOR`:   {Kind: php.String, Text: "a/"},
		`__DIR__ . '/../../../etc/x'`: path("/wp/config/../../../etc/x"),
	} {
		var list []php.Token
		l := php.NewLexer([]byte("<?php " + src))
		for token := l.Next(); token.Kind != php.TokenEnd; token = l.Next() {
			list = append(list, token)
		}
		got := names.Evaluate(list)
		if got != want {
			t.Errorf("%s is %+v, want %+v", src, got, want)
		}
		if p, inside := got.InTree(); inside && (p == ".." || len(p) > 2 && p[:3] == "../") {
			t.Errorf("%s leads to %s", src, p)
		}
	}
}
