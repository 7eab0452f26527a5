package database_test

import (
	"strings"
	"testing"

	"github.com/wpbake/wpbake/wordpress/database"
)

func TestActivePlugins(t *testing.T) {
	got, ok := database.ActivePlugins(`a:2:{i:0;s:13:"cart/cart.php";i:1;s:9:"hello.php";}`)
	if !ok || strings.Join(got, " ") != "cart/cart.php hello.php" {
		t.Errorf("got %q, %v", got, ok)
	}
	got, ok = database.NetworkPlugins(`a:1:{s:13:"cart/cart.php";i:1700000000;}`)
	if !ok || strings.Join(got, " ") != "cart/cart.php" {
		t.Errorf("got %q, %v", got, ok)
	}
	for _, bad := range []string{"", "b:0;", `a:1:{i:0;s:99:"x";}`, `a:9:{i:0;s:1:"x";}`, `a:1:{i:0;O:8:"stdClass":0:{}}`, `a:1:{i:0;s:1:"x";}x`, `a:-1:{}`} {
		if got, ok := database.ActivePlugins(bad); ok {
			t.Errorf("%q is taken for %q", bad, got)
		}
	}
}

func FuzzActivePlugins(f *testing.F) {
	f.Add(`a:2:{i:0;s:13:"cart/cart.php";i:1;s:9:"hello.php";}`)
	f.Fuzz(func(t *testing.T, option string) {
		list, ok := database.ActivePlugins(option)
		if !ok {
			return
		}
		for _, p := range list {
			if !strings.Contains(option, p) {
				t.Errorf("%q is not in %q", p, option)
			}
		}
	})
}
