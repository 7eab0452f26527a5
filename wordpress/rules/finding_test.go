package rules

import (
	"reflect"
	"slices"
	"strings"
	"testing"
)

func TestWaive(t *testing.T) {
	list := []Finding{
		{ID: "T07", Severity: Block, Path: "a.sql"}, {ID: "T07", Severity: Warn, Path: "b.bak"},
		{ID: "T02", Severity: Fix, Path: "link"}, {ID: "T08", Severity: Block, Path: "a.sql"},
	}
	waivers := []Waiver{
		{ID: "T07", Path: "a.sql", Reason: "shipped on purpose"}, {ID: "T02", Path: "link", Reason: "is repaired"}, {ID: "T07", Path: "*", Reason: "no pattern"},
	}
	stay, waived, unused := waive(slices.Clone(list), waivers)
	accepted := list[0]
	accepted.Waived = "shipped on purpose"
	if !reflect.DeepEqual(stay, list[1:]) || !reflect.DeepEqual(waived, []Finding{accepted}) || !reflect.DeepEqual(unused, waivers[1:]) {
		t.Errorf("stay %+v, waived %+v, unused %+v", stay, waived, unused)
	}
}

// The runner says which rule a hit is of, orders, and keeps repairs.
func TestJudge(t *testing.T) {
	rule := func(id string, find finder) Rule { return Rule{ID: id, Why: "why " + id, Fix: "fix " + id, find: find} }
	catalogue := []Rule{
		rule("T02", func(*view) (h hits) {
			h.replace(at("link"), nil, "links to %s", "x")
			h.warn(place{"b", 2}, "twice")
			h.warn(place{"b", 2}, "twice")
			return h
		}),
		rule("T01", all(
			func(*view) (h hits) { h.block(at("."), "no theme"); return h },
			func(*view) (h hits) { h.info(at("a"), "100%% sure"); return h },
			func(*view) hits { return nil },
		)),
	}
	for strict, want := range map[bool]string{
		false: "block T01 no theme, fix T02 links to x, warn T02 twice, info T01 100% sure",
		true:  "block T01 no theme, block T02 twice, fix T02 links to x, info T01 100% sure",
	} {
		r := judge(&view{Options: Options{Strict: strict}}, catalogue)
		var got []string
		for _, f := range r.Findings {
			got = append(got, f.Severity.String()+" "+f.ID+" "+f.Message)
			if f.Why != "why "+f.ID || f.Fix != "fix "+f.ID {
				t.Errorf("%+v", f)
			}
		}
		if got := strings.Join(got, ", "); got != want {
			t.Errorf("strict %v: %s, want %s", strict, got, want)
		}
		if content, ok := r.Repairs.Replace["link"]; !ok || len(r.Repairs.Replace) != 1 || len(content) > 0 {
			t.Errorf("repairs %v", r.Repairs)
		}
	}
}

// Nothing but a tree is known: no rule may count on more.
func TestRulesAskForWhatTheyNeed(t *testing.T) {
	for _, r := range Catalogue() {
		if r.find == nil {
			t.Errorf("rule %s finds nothing", r.ID)
		}
		if r.Phase != InTree {
			if found := r.find(&view{}); len(found) > 0 {
				t.Errorf("rule %s finds %v where nothing is known", r.ID, found)
			}
		}
	}
}

func TestPaths(t *testing.T) {
	for p, want := range map[string]string{
		"wp-content/plugins/a/b.php": "plugins/a/b.php", "web/app/themes/a": "themes/a", "wp/wp-content/x": "x",
		"wp-content/a/wp-content/b": "a/wp-content/b", "x/wp-content/a/wp-content/b": "b", "app/x": "",
	} {
		if got, ok := contentOf(p); got != want || ok != (want != "") {
			t.Errorf("%s is %q of the content, want %q", p, got, want)
		}
	}
	for p, want := range map[string]bool{
		"wp-content/plugins/a/b.php": true, "wp-content/plugins/b.php": false, "wp-content/mu-plugins/a/b.php": true,
		"web/app/themes/shop/style.css": true, "wp-content/uploads/a/b": false, "plugins/a/b": false,
	} {
		if got := inExtension(p); got != want {
			t.Errorf("%s is in an extension: %v", p, got)
		}
	}
	for p, want := range map[string]bool{"vendor/a.php": true, "a/node_modules/b/c.js": true, "a/vendor": false, "tests/a": true, "mytests/a": false} {
		if got := inVendor(p); got != want {
			t.Errorf("%s is of a package manager: %v", p, got)
		}
	}
}
