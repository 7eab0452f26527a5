package rules_test

import (
	"fmt"
	"testing"

	"github.com/wpbake/wpbake/wordpress/php"
	"github.com/wpbake/wpbake/wordpress/rules"
)

// Names such as those of a cache are one finding, not thousands.
func TestDeniedNamesAreFolded(t *testing.T) {
	var list []php.Denied
	for i := range 50 {
		list = append(list, php.Denied{Path: fmt.Sprintf("wp-content/cache/%d.html", i), Call: "fopen", By: "wp-content/plugins/x/x.php", Line: 3, Times: 2})
	}
	r := rules.CheckRuntime(rules.Options{Runtime: &rules.Runtime{Denied: list}})
	if len(r.Findings) != 1 || r.Findings[0].Path != "wp-content/cache" ||
		r.Findings[0].Message != "50 paths in it were refused to fopen() 100 times, called by wp-content/plugins/x/x.php:3 (plugin x)" {
		t.Errorf("%+v", r.Findings)
	}
}

// Whatever a log says is was refused, judging it ends.
func FuzzCheckRuntime(f *testing.F) {
	f.Add("wp-content/cache/a", "wp-content/plugins/x/x.php", "/tmp/a", 3)
	f.Add("", "", "", -1)
	f.Fuzz(func(t *testing.T, path, by, outside string, times int) {
		denied := []php.Denied{{Path: path, By: by, Outside: outside, Times: times, Call: path}}
		for _, x := range rules.CheckRuntime(rules.Options{Runtime: &rules.Runtime{Denied: denied}}).Findings {
			if x.ID != "W99" || x.Message == "" {
				t.Errorf("%+v", x)
			}
		}
	})
}
