package wordpress

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

func TestParseVersion(t *testing.T) {
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
		if got := parseVersion([]byte(tt.src)).text["wp_version"]; got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.src, got, tt.want)
		}
	}
	for src, want := range map[string]int{"$n = 5;": 5, "$n = 5 ;": 5, "$n = 5 + 1;": 0, "$n = 99999999999999999999;": 0, "$n = -5;": 0} {
		if got := parseVersion([]byte(src)).number["n"]; got != want {
			t.Errorf("%s: got %d, want %d", src, got, want)
		}
	}
}

func TestHeaders(t *testing.T) {
	for _, tt := range []struct{ src, want string }{
		{"/*\nTheme Name: Shop\n*/", "Shop"},
		{"/* Theme Name: Shop */ x", "Shop"},
		{" \t<?PHP // theme name: Shop ?> x", "Shop"},
		{"/*\r\n * Theme Name: Shop\r\n */", "Shop"},
		{"#@ Theme Name:Shop", "Shop"},
		{"/* Theme Name: First\nTheme Name: Second", "First"},
		{"$x = 'Theme Name: Shop';", ""},
		{"Theme  Name: Shop", ""},
		{"Theme Name: a\x00b\xff", "a b\uFFFD"},
		{strings.Repeat("x", headerBytes) + "\nTheme Name: Late", ""},
	} {
		if got := headers([]byte(tt.src), "Theme Name")["Theme Name"]; got != tt.want {
			t.Errorf("%q: got %q, want %q", tt.src, got, tt.want)
		}
	}
}

func FuzzParseVersion(f *testing.F) {
	f.Add("<?php\n$wp_version = '7.0.3';\n$wp_db_version = 60717;\n")
	f.Add("<?php /* $a = '1'; */ $b = \"\\\"$c\"; # '\n$d = 5;")
	f.Fuzz(func(t *testing.T, src string) {
		a := parseVersion([]byte(src))
		for name, value := range a.text {
			if !strings.Contains(src, "$"+name) || !strings.Contains(src, value) {
				t.Errorf("%q = %q is not in the source", name, value)
			}
		}
		// What stands in a comment assigns nothing.
		if b := parseVersion([]byte("/*" + strings.ReplaceAll(src, "*/", "") + "*/")); len(b.text)+len(b.number) > 0 {
			t.Errorf("a comment assigns %v", b)
		}
	})
}

func FuzzHeaders(f *testing.F) {
	f.Add("<?php\n/*\n * Plugin Name: Cart\n * Version: 2.1\n */")
	f.Add("Version: \xff\x00\u2028 */")
	f.Fuzz(func(t *testing.T, src string) {
		for name, value := range headers([]byte(src), "Plugin Name", "Version") {
			if len(value) > maxText || !utf8.ValidString(value) || strings.ContainsFunc(value, unicode.IsControl) {
				t.Errorf("%s: %q does not fit a manifest", name, value)
			}
		}
	})
}
