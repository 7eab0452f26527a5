package php_test

import (
	"testing"

	"github.com/wpbake/wpbake/wordpress/php"
)

func TestOlder(t *testing.T) {
	ordered := []string{"6.1-alpha", "6.1-beta2", "6.1-RC1", "6.1", "6.1.9", "6.8-alpha-59000", "6.8-beta1", "6.8", "6.8.2", "6.8.12", "6.10", "10.0"}
	for i, a := range ordered {
		for j, b := range ordered {
			if got := php.Older(a, b); got != (i < j) {
				t.Errorf("Older(%q, %q) = %v", a, b, got)
			}
		}
	}
	for _, equal := range [][2]string{{"", "6.8"}, {"6.8", ""}, {"2.1", "2.1.0"}, {"2.1.0", "2.1"}} {
		if php.Older(equal[0], equal[1]) {
			t.Errorf("%q is older than %q", equal[0], equal[1])
		}
	}
}

func TestCompareNumbers(t *testing.T) {
	for _, tt := range []struct {
		a, b string
		want int
	}{{"8.2", "8.10", -1}, {"8.2", "8.2.0", 0}, {"8.2.1", "8.2", 1}, {"6.9-RC1", "6.9", 0}, {"", "", 0}, {"", "0.1", -1}, {"10.11.6-MariaDB", "8.0", 1}} {
		got := php.CompareNumbers(tt.a, tt.b)
		if got < 0 && tt.want >= 0 || got > 0 && tt.want <= 0 || got == 0 && tt.want != 0 {
			t.Errorf("CompareNumbers(%q, %q) = %d", tt.a, tt.b, got)
		}
	}
}
