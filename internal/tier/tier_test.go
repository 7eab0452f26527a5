package tier_test

import (
	"flag"
	"fmt"
	"testing"

	"github.com/wpbake/wpbake/internal/tier"
)

// verdict is a test that notes how it was ended.
type verdict struct {
	testing.TB
	word string
}

func (v *verdict) Helper() {}
func (v *verdict) end(word string) {
	if v.word == "" {
		v.word = word
	}
}
func (v *verdict) Skip(...any)           { v.end("skipped") }
func (v *verdict) Skipf(string, ...any)  { v.end("skipped") }
func (v *verdict) Fatalf(string, ...any) { v.end("failed") }

func TestTiers(t *testing.T) {
	short := flag.Lookup("test.short").Value.String()
	t.Cleanup(func() { flag.Set("test.short", short) })
	for _, tt := range []struct{ short, soak, test, long string }{
		{"true", "", "skipped", "skipped"},
		{"false", "", "", "skipped"},
		{"false", "1", "", ""},
		{"true", "1", "skipped", "skipped"},
	} {
		t.Run(fmt.Sprintf("short %s, soak %q", tt.short, tt.soak), func(t *testing.T) {
			flag.Set("test.short", tt.short)
			t.Setenv("WPBAKE_SOAK", tt.soak)
			var ordinary, long verdict
			tier.Test(&ordinary)
			tier.Soak(&long)
			if ordinary.word != tt.test || long.word != tt.long || tier.Soaking() != (tt.long == "") {
				t.Errorf("an ordinary test %q, a long one %q, soaking %t", ordinary.word, long.word, tier.Soaking())
			}
		})
	}
}

func TestNeed(t *testing.T) {
	t.Setenv("WPBAKE_TEST_REQUIRE", "tar,no-such-program")
	for name, want := range map[string]string{"sh": "", "no-such-program": "failed", "no-other-program": "skipped"} {
		var v verdict
		if tier.Program(&v, name); v.word != want {
			t.Errorf("%s: %q, want %q", name, v.word, want)
		}
	}
}
