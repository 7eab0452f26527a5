package php_test

import (
	"strings"
	"testing"

	"github.com/wpbake/wpbake/wordpress/php"
)

func TestReadAssignments(t *testing.T) {
	for _, tt := range []struct{ src, want string }{
		{`<?php $wp_version = '1';`, "1"},
		{`<?php $wp_version='1' ;`, "1"},
		{`<?php $wp_version /* x */ = // y` + "\n'1';", "1"},
		{`<?php $wp_version = '1'; $wp_version = '2';`, "2"},
		{`<?php $wp_version = '1'; $wp_version = f();`, ""},
		{`<?php $wp_version = '1' . '2';`, ""},
		{`<?php $wp_version = "1$x";`, ""},
		{`<?php $wp_version = 'a\'b';`, ""},
		{`<?php if ($wp_version == '1') {}`, ""},
		{`<?php /* $wp_version = '1'; */`, ""},
		{`<?php # $wp_version = '1';`, ""},
		{`<?php $s = '$wp_version = "1";';`, ""},
		{`<?php $wp_version = '1`, ""},
		{`<?php $wp_versions = '1';`, ""},
		{`<?php #[Attr] ` + "\n" + `$wp_version = '1';`, "1"},
	} {
		if got := php.ReadAssignments([]byte(tt.src)).Text["wp_version"]; got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.src, got, tt.want)
		}
	}
	for src, want := range map[string]int{"$n = 5;": 5, "$n = 5 ;": 5, "$n = 5 + 1;": 0, "$n = 99999999999999999999;": 0, "$n = -5;": 0} {
		if got := php.ReadAssignments([]byte(src)).Number["n"]; got != want {
			t.Errorf("%s: got %d, want %d", src, got, want)
		}
	}
}

func FuzzReadAssignments(f *testing.F) {
	f.Add("<?php\n$wp_version = '7.0.3';\n$wp_db_version = 60717;\n")
	f.Add("<?php /* $a = '1'; */ $b = \"\\\"$c\"; # '\n$d = 5;")
	f.Fuzz(func(t *testing.T, src string) {
		a := php.ReadAssignments([]byte(src))
		for name, value := range a.Text {
			if !strings.Contains(src, "$"+name) || !strings.Contains(src, value) {
				t.Errorf("%q = %q is not in the source", name, value)
			}
		}
		// What stands in a comment assigns nothing.
		if b := php.ReadAssignments([]byte("/*" + strings.ReplaceAll(src, "*/", "") + "*/")); len(b.Text)+len(b.Number) > 0 {
			t.Errorf("a comment assigns %v", b)
		}
	})
}
